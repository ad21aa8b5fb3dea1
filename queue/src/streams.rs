//! Streams over the broker: an API opens one, whichever worker is free gives, batch after batch. No queue is made for them: both sides are
//! reached by RabbitMQ's direct reply-to, which goes with their connections.
//!
//! The API gives credit for batches as its client takes them, so that what is under way is bounded, however slow the client; beats tell it
//! that a worker which has nothing to give is there. Which batch was the last that a client was given, the API knows: a stream whose worker
//! died is opened again, at another, from there.

mod giving;
mod opening;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use giving::{Gone, Outlet, give};
pub use opening::{Stream, Streams};

/// RabbitMQ's name for the answers of a channel.
const REPLY_TO: &str = "amq.rabbitmq.reply-to";
/// Batches that are under way at most.
const WINDOW: u32 = 16;
/// Streams of one process at most.
const AT_ONCE: usize = 256;
/// Between two beats of a worker.
const BEAT: Duration = Duration::from_secs(5);
/// Between two times that an API says that it listens.
const LISTENS: Duration = Duration::from_secs(15);
/// After which silence a worker is taken for dead.
pub const SILENCE: Duration = Duration::from_secs(12);

/// What opens a stream.
#[derive(Serialize, Deserialize)]
struct Opening {
    version: u16,
    request: serde_json::Value,
}

/// What an API tells the worker that gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Control {
    /// So many batches more; none: somebody listens.
    More(u32),
    /// Nobody listens any more.
    Close,
}
