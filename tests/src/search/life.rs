//! A worker's life: it may be slow, cut off, frozen or dead at any call. Every call of a worker goes
//! through here; a dead one's calls never return, so nothing of it acts any more.

use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::id::WorkerId;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep, sleep_until};

use super::chance::Chance;

/// A defect that is put in the production code's way, to show that the search would find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// The ledger takes every write of a claim, whoever has claimed since.
    NoFence,
    /// Wake-ups are acknowledged when they come in, before the claim.
    EarlyAck,
    /// As many replicas running as are wanted is taken for success, whichever spec they are of and
    /// whatever Swarm says of its update.
    ReplicaCounts,
}

/// What can go wrong with everybody's calls, and until when.
#[derive(Debug)]
pub(super) struct Weather {
    pub(super) chance: Chance,
    /// Faults in a thousand calls.
    pub(super) intensity: u32,
    /// From then on nothing fails any more.
    pub(super) calm: Instant,
    /// Until then the daemon does not answer.
    pub(super) swarm_down: Mutex<Instant>,
    /// Calls that were made.
    pub(super) calls: AtomicU64,
    /// Workers that died.
    pub(super) deaths: AtomicU64,
}

impl Weather {
    pub(super) fn is_calm(&self) -> bool {
        Instant::now() >= self.calm
    }

    pub(super) fn swarm_is_down(&self) -> bool {
        Instant::now() < *self.swarm_down.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn swarm_down_for(&self, time: Duration) {
        *self.swarm_down.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + time;
    }
}

/// What a call is to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    /// Swarm, to see.
    See,
    /// Swarm, to change something.
    Change,
    /// The ledger.
    Ledger,
}

/// How a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goes {
    Well,
    /// It is not made, and its caller is told so.
    Unmade,
    /// It is made, and its caller is told that it was not.
    Unanswered,
    /// Somebody else has just changed the object.
    Late,
    /// It is made, and its caller dies of it.
    ThenDies,
}

/// One worker process.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) worker: WorkerId,
    pub(super) weather: Arc<Weather>,
    pub(super) planted: Option<Planted>,
    state: Mutex<State>,
    deaths: UnboundedSender<WorkerId>,
}

#[derive(Debug)]
struct State {
    is_dead: bool,
    frozen_until: Instant,
}

impl Life {
    pub(super) fn new(
        worker: WorkerId,
        weather: Arc<Weather>,
        planted: Option<Planted>,
        deaths: UnboundedSender<WorkerId>,
    ) -> Self {
        let state = Mutex::new(State { is_dead: false, frozen_until: Instant::now() });
        Self { worker, weather, planted, state, deaths }
    }

    /// SIGKILL.
    pub(super) fn die(&self) {
        let mut state = self.state();
        if !state.is_dead {
            state.is_dead = true;
            self.weather.deaths.fetch_add(1, Ordering::Relaxed);
            // Nobody listens where the story is over.
            let _ = self.deaths.send(self.worker);
        }
    }

    pub(super) fn is_dead(&self) -> bool {
        self.state().is_dead
    }

    /// SIGSTOP, and SIGCONT after so long.
    pub(super) fn freeze(&self, time: Duration) {
        self.state().frozen_until = Instant::now() + time;
    }

    /// Before a call: returns when it is made, with how it goes.
    pub(super) async fn begin(&self, to: To) -> Goes {
        self.weather.calls.fetch_add(1, Ordering::Relaxed);
        self.live(to).await;
        let (delay, goes) = self.fate(to);
        if !delay.is_zero() {
            sleep(delay).await;
            // A change is one with the look at its lease: nothing comes between but the way there.
            self.live(to).await;
        }
        goes
    }

    /// Returns as soon as the worker lives: never, when it is dead.
    async fn live(&self, to: To) {
        loop {
            let (is_dead, frozen_until) = {
                let state = self.state();
                (state.is_dead, state.frozen_until)
            };
            if is_dead {
                pending::<()>().await;
            }
            if to == To::Change || frozen_until <= Instant::now() {
                return;
            }
            sleep_until(frozen_until).await;
        }
    }

    /// After a call that its caller does not survive.
    pub(super) async fn end<T>(&self) -> T {
        self.die();
        pending().await
    }

    fn fate(&self, to: To) -> (Duration, Goes) {
        let Weather { chance, intensity, .. } = &*self.weather;
        if to != To::Ledger && self.weather.swarm_is_down() {
            return (chance.millis(0..=50), Goes::Unmade);
        }
        if self.weather.is_calm() || !chance.in_thousand(*intensity) {
            return (Duration::ZERO, Goes::Well);
        }
        let delay = match chance.of(0..=3) {
            // Below the time that a call may take, or the client would have given it up.
            0 => chance.millis(500..=3900),
            1 | 2 => chance.millis(1..=80),
            _ => Duration::ZERO,
        };
        if chance.in_thousand(60) {
            self.freeze(chance.millis(2_000..=25_000));
        }
        let goes = match (chance.of(0..=9), to) {
            (0, To::Change | To::Ledger) => Goes::ThenDies,
            (0, To::See) | (1, _) => {
                self.die();
                Goes::Well
            }
            (2 | 3, _) => Goes::Unmade,
            (4 | 5, To::Change | To::Ledger) => Goes::Unanswered,
            (6 | 7, To::Change) => Goes::Late,
            _ => Goes::Well,
        };
        (delay, goes)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
