//! Wake-ups, as the runner needs them: those that come in, and those that our own transitions leave
//! in the outbox. Traits over `queue`, so that the runner can be tried without a broker. A wake-up
//! says nothing but "look": whoever implements these may lose it, repeat it and be late.

use std::future::Future;

use queue::{Consumer, RelayHandle, Wakeup};

/// Where wake-ups come in.
pub trait Wakeups: Send {
    /// What is received.
    type Wakeup: Acknowledge;

    /// The next one. `None` only when the worker stops: without a wake-up, wait. A call that is
    /// dropped before its answer loses nothing.
    fn next(&mut self) -> impl Future<Output = Option<Self::Wakeup>> + Send;
}

/// A wake-up that waits for its answer. Dropped without one, it may come again.
pub trait Acknowledge: Send {
    /// It led to what it could lead to.
    fn done(self) -> impl Future<Output = ()> + Send;
}

/// Who sends out what the ledger wrote into the outbox.
pub trait Relay: Clone + Send + Sync + 'static {
    /// Something was committed to the outbox.
    fn wake(&self);
}

impl Wakeups for Consumer {
    type Wakeup = Wakeup;

    async fn next(&mut self) -> Option<Wakeup> {
        Self::next(self).await
    }
}

impl Acknowledge for Wakeup {
    async fn done(self) {
        Self::done(self).await;
    }
}

impl Relay for RelayHandle {
    fn wake(&self) {
        Self::wake(self);
    }
}
