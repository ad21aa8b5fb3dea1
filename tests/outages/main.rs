//! Outages of what Skep stands on: workers and API processes that are killed, Postgres, RabbitMQ and
//! dockerd that are restarted under a rollout. Each story ends with a verdict that is true, once.
//!
//! Stories that end only processes of their own run beside each other; one that restarts a service
//! runs alone ([`turns`]), and no other test binary runs meanwhile.

mod killed;
mod postgres;
mod rabbitmq;
mod services;
mod swarm;
mod turns;

use anyhow::ensure;
use serde_json::Value;
use tests::Outcome;
use tests::answer::{list, text};

/// A deployment ended once: its last step, and no other, is an end.
fn ended_once(deployment: &Value) -> Outcome {
    const ENDS: [&str; 6] =
        ["succeeded", "rolled_back", "failed", "canceled", "superseded", "stuck"];
    let mut steps = Vec::new();
    for step in list(deployment, "/timeline")? {
        steps.push(text(step, "/status")?);
    }
    let ends = steps.iter().filter(|status| ENDS.contains(status)).count();
    let last = steps.last().copied().unwrap_or_default();
    ensure!(ends == 1 && last == text(deployment, "/status")?, "{steps:?}: {deployment:#}");
    Ok(())
}

/// Says what was measured: shown with `--nocapture`.
#[expect(clippy::print_stdout, reason = "the test framework keeps it for who asks")]
fn tell(line: &str) {
    println!("{line}");
}
