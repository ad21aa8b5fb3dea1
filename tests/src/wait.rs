//! Waiting for a level, with a bound. What passes in between does not matter, and no test sleeps
//! and hopes.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::{Instant, sleep};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Waits until `look` finds something; an error that says `what` was waited for after `longest`.
pub async fn wait_for<T>(
    what: &str,
    longest: Duration,
    look: impl AsyncFn() -> Result<Option<T>>,
) -> Result<T> {
    let end = Instant::now() + longest;
    loop {
        if let Some(found) = look().await.with_context(|| format!("waiting for {what}"))? {
            return Ok(found);
        }
        if Instant::now() >= end {
            bail!("waited {} s for {what}", longest.as_secs_f32());
        }
        sleep(LOOK).await;
    }
}

/// Waits until `holds`; an error that says `what` was waited for after `longest`.
pub async fn wait_until(
    what: &str,
    longest: Duration,
    holds: impl AsyncFn() -> Result<bool>,
) -> Result<()> {
    wait_for(what, longest, async || Ok(holds().await?.then_some(()))).await
}
