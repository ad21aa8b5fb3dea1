//! Which queues there are and how they are declared. RabbitMQ refuses to declare a queue again with
//! other arguments, so a change of these is a new version in the name.

use lapin::Channel;
use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use crate::BrokerError;

/// Most wake-ups that wait. Each is a hint, and the worker's sweep finds what no hint told of: the
/// oldest goes when there are more, so that a worker's long absence fills no disk.
const MOST_WAKEUPS: i32 = 100_000;
/// Most undecodable messages that are kept for an operator, the newest.
const MOST_DEAD: i32 = 10_000;

/// How often a dead letter may go back to its place. RabbitMQ drops a message of a quorum queue that was
/// taken and put back 20 times (since 4.0), and looking at dead letters is just that.
const MOST_LOOKS: i32 = i32::MAX;

/// Names of an installation's queues.
#[derive(Debug, Clone)]
pub(crate) struct Topology {
    /// Wake-ups of queued deployments.
    pub(crate) deployments: String,
    /// Messages that nobody could decode.
    pub(crate) dead: String,
    /// Questions to workers; there while one listens.
    pub(crate) asks: String,
    /// Streams that workers are to give; there while one listens.
    pub(crate) streams: String,
}

impl Topology {
    pub(crate) fn new(prefix: &str) -> Self {
        Self {
            deployments: format!("{prefix}.deployments.v2"),
            dead: format!("{prefix}.dead.v3"),
            asks: format!("{prefix}.asks.v1"),
            streams: format!("{prefix}.streams.v1"),
        }
    }

    /// Declares both queues; harmless when they are there.
    ///
    /// Neither dead-letters by itself: with RabbitMQ's strategy `at-least-once`, more than a hundred
    /// queues that change their leader within a second (a restart) stay without one for good
    /// (rabbitmq-server #16652), and `at-most-once` may lose the letter. The consumer publishes it.
    pub(crate) async fn declare(&self, channel: &Channel) -> Result<(), BrokerError> {
        for (queue, most) in [(&self.deployments, MOST_WAKEUPS), (&self.dead, MOST_DEAD)] {
            let mut arguments = FieldTable::default();
            set(&mut arguments, "x-queue-type", text("quorum"));
            set(&mut arguments, "x-max-length", AMQPValue::LongInt(most));
            set(&mut arguments, "x-overflow", text("drop-head"));
            if *queue == self.dead {
                set(&mut arguments, "x-delivery-limit", AMQPValue::LongInt(MOST_LOOKS));
            }
            let options = QueueDeclareOptions::durable();
            channel.queue_declare(queue.as_str().into(), options, arguments).await?;
        }
        Ok(())
    }
}

fn set(table: &mut FieldTable, key: &'static str, value: AMQPValue) {
    table.insert(ShortString::from(key), value);
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}
