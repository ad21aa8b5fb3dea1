//! Whose turn it is: stories that restart a service, and those that may not notice.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tests::{Outcome, Skep, run};

use crate::services::Service;

/// Runs a story that ends no more than processes of its own installation.
pub(crate) fn run_beside(story: impl AsyncFnOnce(&Skep) -> Outcome) -> Outcome {
    let _turn = Turn::take(Kind::Beside);
    run(story)
}

/// Runs a story that restarts a service of everybody's.
pub(crate) fn run_alone(story: impl AsyncFnOnce(&Skep) -> Outcome) -> Outcome {
    let _turn = Turn::take(Kind::Alone);
    run(story)
}

/// The same, when all others that were begun have ended; for stories that restart dockerd. One that is
/// restarted under a network leaves that network's namespace behind when it is removed, and counts networks
/// from the first number again: a task on the next network of a number was refused once (`error creating vxlan
/// interface: file exists`). All of it goes with dockerd's own namespace: so whoever comes next gets a new one.
pub(crate) fn run_last(story: impl AsyncFnOnce(&Skep) -> Outcome) -> Outcome {
    let _turn = Turn::take(Kind::Last);
    run(story)?;
    run(async |_| Service::Docker.restart().await.map(drop))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Beside,
    Alone,
    Last,
}

struct Turns {
    /// Stories that are told or wait for their turn, the last one left out.
    begun: usize,
    beside: usize,
    alone: bool,
}

static TURNS: Mutex<Turns> = Mutex::new(Turns { begun: 0, beside: 0, alone: false });
static CHANGED: Condvar = Condvar::new();

struct Turn(Kind);

impl Turn {
    fn take(kind: Kind) -> Self {
        let mut turns = turns();
        turns.begun += usize::from(kind != Kind::Last);
        let must_wait = |turns: &mut Turns| match kind {
            Kind::Beside => turns.alone,
            Kind::Alone => turns.alone || turns.beside > 0,
            Kind::Last => turns.begun > 0 || turns.alone,
        };
        let mut turns =
            CHANGED.wait_while(turns, must_wait).unwrap_or_else(PoisonError::into_inner);
        match kind {
            Kind::Beside => turns.beside += 1,
            Kind::Alone | Kind::Last => turns.alone = true,
        }
        Self(kind)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut turns = turns();
        match self.0 {
            Kind::Beside => turns.beside -= 1,
            Kind::Alone | Kind::Last => turns.alone = false,
        }
        turns.begun -= usize::from(self.0 != Kind::Last);
        CHANGED.notify_all();
    }
}

fn turns() -> MutexGuard<'static, Turns> {
    TURNS.lock().unwrap_or_else(PoisonError::into_inner)
}
