//! Services of this checkout that are ended and started under whoever uses them.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tests::dev::dev;
use tests::environment::is_set;

/// A service that `./dev restart` knows.
#[derive(Clone, Copy)]
pub(crate) enum Service {
    Postgres,
    RabbitMq,
    Docker,
}

impl Service {
    const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::RabbitMq => "rabbitmq",
            Self::Docker => "docker",
        }
    }

    /// Set where the service is one of the caller's.
    const fn variable(self) -> &'static str {
        match self {
            Self::Postgres => "SKEP_DEV_DATABASE_URL",
            Self::RabbitMq => "SKEP_DEV_AMQP_URL",
            Self::Docker => "SKEP_DEV_DOCKER_HOST",
        }
    }

    /// Ends and starts it; how long that took.
    pub(crate) async fn restart(self) -> Result<Duration> {
        let (name, variable) = (self.name(), self.variable());
        ensure!(
            !is_set(variable),
            "this test restarts {name}, and the one of {variable} is not ours to restart: run it \
             without that variable"
        );
        let begun = Instant::now();
        dev(&["restart", name]).await?;
        Ok(begun.elapsed())
    }
}
