//! A broker that loses, repeats and delays wake-ups, and gives back what a dead worker left
//! unanswered.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::id::{DeploymentId, WorkerId};
use orchestrator::wakeups::{Acknowledge, Relay, Wakeups};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::judge::Judge;
use super::life::{Life, Planted, Weather};
use super::story_ledger::StoryLedger;

/// How often the outbox is looked into without having been told.
const SWEEP: Duration = Duration::from_secs(1);

/// The broker, and the relay that feeds it.
#[derive(Clone)]
pub(super) struct Broker {
    queue: Arc<Mutex<Queue>>,
    /// Something waits in the queue.
    ready: Arc<Notify>,
    /// Something waits in the outbox.
    written: Arc<Notify>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<DeploymentId>,
    unanswered: BTreeMap<u64, (WorkerId, DeploymentId)>,
    delivered: u64,
}

impl Broker {
    pub(super) fn new() -> Self {
        Self { queue: Arc::default(), ready: Arc::default(), written: Arc::default() }
    }

    /// Carries wake-ups from the outbox into the queue, for ever.
    pub(super) async fn relay(self, ledger: impl StoryLedger, weather: Arc<Weather>) {
        loop {
            for deployment in ledger.wakeups() {
                let lost = !weather.is_calm() && weather.chance.in_thousand(150);
                let repeated = !weather.is_calm() && weather.chance.in_thousand(150);
                let copies = usize::from(!lost) + usize::from(repeated);
                for _ in 0..copies {
                    self.queue().waiting.push_back(deployment);
                    self.ready.notify_one();
                }
            }
            tokio::select! {
                biased;
                () = self.written.notified() => sleep(weather.chance.millis(1..=50)).await,
                () = sleep(SWEEP) => {}
            }
        }
    }

    /// What this worker has not answered goes back.
    pub(super) fn lost(&self, worker: WorkerId) {
        let mut queue = self.queue();
        let left: Vec<u64> = queue
            .unanswered
            .iter()
            .filter(|(_, (holder, _))| *holder == worker)
            .map(|(delivery, _)| *delivery)
            .collect();
        for delivery in left {
            if let Some((_, deployment)) = queue.unanswered.remove(&delivery) {
                queue.waiting.push_front(deployment);
                self.ready.notify_one();
            }
        }
    }

    pub(super) fn consumer<L>(&self, life: Arc<Life>, judge: Arc<Judge<L>>) -> MemoryConsumer<L> {
        MemoryConsumer { broker: self.clone(), life, judge }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Relay for Broker {
    fn wake(&self) {
        self.written.notify_one();
    }
}

/// A worker's consumer.
pub(super) struct MemoryConsumer<L> {
    broker: Broker,
    life: Arc<Life>,
    judge: Arc<Judge<L>>,
}

impl<L: StoryLedger> Wakeups for MemoryConsumer<L> {
    type Wakeup = MemoryWakeup<L>;

    async fn next(&mut self) -> Option<MemoryWakeup<L>> {
        loop {
            if self.life.is_dead() {
                return std::future::pending().await;
            }
            {
                let mut queue = self.broker.queue();
                if let Some(deployment) = queue.waiting.pop_front() {
                    if !queue.waiting.is_empty() {
                        self.broker.ready.notify_one();
                    }
                    queue.delivered += 1;
                    let delivery = queue.delivered;
                    queue.unanswered.insert(delivery, (self.life.worker, deployment));
                    drop(queue);
                    let wakeup = MemoryWakeup {
                        broker: self.broker.clone(),
                        judge: Arc::clone(&self.judge),
                        life: Arc::clone(&self.life),
                        delivery,
                        deployment,
                    };
                    if self.life.planted == Some(Planted::EarlyAck) {
                        wakeup.answer();
                    }
                    return Some(wakeup);
                }
            }
            self.broker.ready.notified().await;
        }
    }
}

/// A wake-up that waits for its answer.
pub(super) struct MemoryWakeup<L> {
    broker: Broker,
    judge: Arc<Judge<L>>,
    life: Arc<Life>,
    delivery: u64,
    deployment: DeploymentId,
}

impl<L: StoryLedger> MemoryWakeup<L> {
    fn answer(&self) {
        if self.broker.queue().unanswered.remove(&self.delivery).is_some() {
            self.judge.answered(self.deployment);
        }
    }
}

impl<L: StoryLedger> Acknowledge for MemoryWakeup<L> {
    async fn done(self) {
        if !self.life.is_dead() {
            self.answer();
        }
    }
}

impl<L> Drop for MemoryWakeup<L> {
    /// Dropped without an answer, it is delivered again.
    fn drop(&mut self) {
        let dropped = self.broker.queue().unanswered.remove(&self.delivery);
        if let Some((_, deployment)) = dropped {
            self.broker.queue().waiting.push_front(deployment);
            self.broker.ready.notify_one();
        }
    }
}
