//! Which queues there are and how they are declared. RabbitMQ refuses to declare a queue again with
//! other arguments, so a change of these is a new version in the name.

use lapin::Channel;
use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use crate::BrokerError;

/// Names of an installation's queues.
#[derive(Debug, Clone)]
pub(crate) struct Topology {
    /// Wake-ups of queued deployments.
    pub(crate) deployments: String,
    /// Messages that nobody could decode.
    pub(crate) dead: String,
}

impl Topology {
    pub(crate) fn new(prefix: &str) -> Self {
        Self { deployments: format!("{prefix}.deployments.v1"), dead: format!("{prefix}.dead.v1") }
    }

    /// Declares both queues; harmless when they are there.
    pub(crate) async fn declare(&self, channel: &Channel) -> Result<(), BrokerError> {
        let mut dead = FieldTable::default();
        set(&mut dead, "x-queue-type", text("quorum"));
        channel
            .queue_declare(self.dead.as_str().into(), QueueDeclareOptions::durable(), dead)
            .await?;
        let mut arguments = FieldTable::default();
        set(&mut arguments, "x-queue-type", text("quorum"));
        set(&mut arguments, "x-dead-letter-exchange", text(""));
        set(&mut arguments, "x-dead-letter-routing-key", text(&self.dead));
        // At-least-once dead-lettering needs the overflow to be refused, not dropped.
        set(&mut arguments, "x-dead-letter-strategy", text("at-least-once"));
        set(&mut arguments, "x-overflow", text("reject-publish"));
        channel
            .queue_declare(
                self.deployments.as_str().into(),
                QueueDeclareOptions::durable(),
                arguments,
            )
            .await?;
        Ok(())
    }
}

fn set(table: &mut FieldTable, key: &'static str, value: AMQPValue) {
    table.insert(ShortString::from(key), value);
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}
