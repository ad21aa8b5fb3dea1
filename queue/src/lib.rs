//! RabbitMQ: the only crate that speaks AMQP.
//!
//! Postgres is the truth and the broker wakes: every message is an envelope of ids, published after
//! the change it tells of was committed, confirmed by the broker, and safe to lose, to repeat and
//! to receive late. No secret travels here.

mod address;
pub mod asks;
mod backoff;
pub mod consumer;
pub mod dead;
mod link;
pub mod relay;
pub mod streams;
mod topology;

pub use address::check;
pub use asks::{Asker, Unanswered};
pub use consumer::{Consumer, Wakeup};
pub use dead::DeadLetters;
pub use relay::{Relay, RelayHandle};
pub use streams::{Stream, Streams};

/// What can go wrong between us and the broker; all of it but a bad address is answered by connecting again.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The URL cannot be meant, or names certificates that cannot be read.
    #[error("the broker's URL: {0}")]
    Address(String),
    /// The broker or the connection to it failed.
    #[error("the broker failed")]
    Amqp(#[from] lapin::Error),
    /// The broker did not answer in time.
    #[error("the broker did not answer within {0:?}")]
    TimedOut(std::time::Duration),
    /// The broker returned or refused a message.
    #[error("the broker did not take the message: {0}")]
    Refused(&'static str),
    /// The broker ended the consumer.
    #[error("the broker ended the consumer")]
    Ended,
}
