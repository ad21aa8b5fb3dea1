//! The world of a story: its ledger, the simulated Swarm, the workers, the broker between them, and
//! the clock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::error::ErrorCode;
use model::id::{AppId, WorkerId};
use model::platform::Platform;
use model::status::Status;
use orchestrator::Runner;
use orchestrator::wakeups::Relay as _;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::broker::Broker;
use super::chance::Chance;
use super::faulty_ledger::FaultyLedger;
use super::faulty_swarm::FaultySwarm;
use super::judge::Judge;
use super::life::{Life, Planted, Weather};
use super::names::Names;
use super::story::{Happening, happenings};
use super::story_ledger::StoryLedger;
use super::{Report, cast};
use crate::twin::clock::Clock;
use crate::twin::swarm::SimulatedSwarm;
use crate::twin::vault::MemoryVault;

/// How long things happen and calls fail.
const STORM: Duration = Duration::from_secs(120);
/// Within this everything accepted has to end, once nothing fails any more.
const CALM: Duration = Duration::from_secs(3600);
/// Most workers at a time.
const WORKERS: usize = 3;
/// Deployments that a worker drives at once.
const SLOTS: usize = 2;

/// Tells a story on a ledger of its own, which goes by this clock.
pub(super) async fn tell(
    ledger: impl StoryLedger,
    clock: Clock,
    seed: u64,
    planted: Option<Planted>,
) -> Report {
    let mut world = World::new(ledger, clock, seed, planted);
    world.storm().await;
    world.calm().await;
    world.report(seed)
}

struct World<L> {
    ledger: L,
    swarm: SimulatedSwarm,
    weather: Arc<Weather>,
    broker: Broker,
    judge: Arc<Judge<L>>,
    platform: Arc<Platform>,
    planted: Option<Planted>,
    apps: Vec<AppId>,
    workers: Vec<(Arc<Life>, CancellationToken)>,
    started: u64,
    deaths: (UnboundedSender<WorkerId>, UnboundedReceiver<WorkerId>),
}

impl<L: StoryLedger> World<L> {
    fn new(ledger: L, clock: Clock, seed: u64, planted: Option<Planted>) -> Self {
        let chance = Chance::new(seed);
        let nodes = usize::try_from(chance.of(0..=3)).unwrap_or_default();
        let swarm = SimulatedSwarm::new(seed, nodes, clock.now());
        let apps = cast::enter(&ledger, &swarm, &chance);
        let weather = Arc::new(Weather {
            intensity: chance.pick(&[0, 5, 20, 60]),
            chance,
            calm: Instant::now() + STORM,
            swarm_down: Mutex::new(Instant::now()),
            calls: AtomicU64::new(0),
            deaths: AtomicU64::new(0),
        });
        let judge = Arc::new(Judge::new(ledger.clone(), swarm.clone(), clock));
        let broker = Broker::new();
        tokio::spawn(broker.clone().relay(ledger.clone(), Arc::clone(&weather)));
        Self {
            ledger,
            swarm,
            weather,
            broker,
            judge,
            platform: Arc::new(cast::platform()),
            planted,
            apps,
            workers: Vec::new(),
            started: 0,
            deaths: mpsc::unbounded_channel(),
        }
    }

    /// Everything happens that happens.
    async fn storm(&mut self) {
        for _ in 0..self.weather.chance.of(1..=WORKERS as u64) {
            self.start_worker();
        }
        let begun = Instant::now();
        for (at, happening) in happenings(&self.weather.chance, self.apps.len(), STORM) {
            self.bury_until(begun + at).await;
            self.happen(happening);
        }
        self.bury_until(self.weather.calm).await;
    }

    /// Nothing fails any more: what was accepted comes to its end.
    async fn calm(&mut self) {
        for node in self.swarm.node_names() {
            self.swarm.return_node(&node);
        }
        self.start_worker();
        let ledger = self.ledger.clone();
        let ended = timeout(CALM, async {
            while ledger.unfinished() > 0 {
                sleep(Duration::from_secs(1)).await;
            }
        });
        if ended.await.is_err() {
            for left in ledger.deployments().iter().filter(|one| one.finished_at.is_none()) {
                self.judge
                    .object(format!("{} ({}) never ended: {}", left.id, left.kind, left.status));
            }
            return;
        }
        self.judge.end();
    }

    /// Waits, and gives back what workers that die meanwhile had taken.
    async fn bury_until(&mut self, until: Instant) {
        loop {
            tokio::select! {
                biased;
                Some(worker) = self.deaths.1.recv() => {
                    self.broker.lost(worker);
                    self.workers.retain(|(life, _)| life.worker != worker);
                    // Whoever runs workers starts another one when one died.
                    if self.workers.is_empty() || self.weather.chance.in_thousand(500) {
                        self.start_worker();
                    }
                }
                () = sleep_until(until) => return,
            }
        }
    }

    fn start_worker(&mut self) {
        self.started += 1;
        let worker = WorkerId::from(Uuid::from_u128(u128::from(self.started)));
        let life = Arc::new(Life::new(
            worker,
            Arc::clone(&self.weather),
            self.planted,
            self.deaths.0.clone(),
        ));
        let runner = Runner {
            worker,
            ledger: FaultyLedger {
                ledger: self.ledger.clone(),
                life: Arc::clone(&life),
                judge: Arc::clone(&self.judge),
            },
            swarm: Arc::new(FaultySwarm {
                swarm: self.swarm.clone(),
                life: Arc::clone(&life),
                judge: Arc::clone(&self.judge),
            }),
            platform: Arc::clone(&self.platform),
            vault: Arc::new(MemoryVault::default()),
            slots: SLOTS,
            relay: self.broker.clone(),
        };
        let stop = CancellationToken::new();
        let wakeups = self.broker.consumer(Arc::clone(&life), Arc::clone(&self.judge));
        tokio::spawn(runner.run(wakeups, stop.clone()));
        self.workers.push((life, stop));
    }

    fn happen(&mut self, happening: Happening) {
        let some_worker = |chance: &Chance, workers: &[(Arc<Life>, CancellationToken)]| {
            let last = workers.len().checked_sub(1)?;
            workers.get(usize::try_from(chance.of(0..=last as u64)).ok()?).cloned()
        };
        let chance = &self.weather.chance;
        match happening {
            Happening::Ask(app, request) => {
                if let Some(app) = self.apps.get(app) {
                    let accepted = self.ledger.accept(*app, &request);
                    if accepted.is_ok() {
                        self.broker.wake();
                    }
                    self.answer(accepted);
                }
            }
            Happening::Repair(app) => {
                if let Some(app) = self.apps.get(app) {
                    let accepted = self.ledger.repair(*app);
                    self.broker.wake();
                    self.answer(accepted);
                }
            }
            Happening::Cancel(app) => {
                let of_app =
                    |one: &model::deployment::Deployment| Some(&one.app_id) == self.apps.get(app);
                let newest = self.ledger.deployments().into_iter().rfind(of_app);
                if let Some(newest) = newest {
                    self.answer(self.ledger.cancel(newest.app_id, newest.id));
                }
            }
            Happening::Kill => {
                if let Some((life, _)) = some_worker(chance, &self.workers) {
                    life.die();
                }
            }
            Happening::Stop => {
                if let Some((life, stop)) = some_worker(chance, &self.workers) {
                    stop.cancel();
                    self.workers.retain(|(other, _)| other.worker != life.worker);
                }
            }
            Happening::Start => {
                if self.workers.len() < WORKERS {
                    self.start_worker();
                }
            }
            Happening::Freeze(time) => {
                if let Some((life, _)) = some_worker(chance, &self.workers) {
                    life.freeze(time);
                }
            }
            Happening::SwarmDown(time) => self.weather.swarm_down_for(time),
            Happening::BringBack(app) => {
                self.meddle(app, |swarm, service| _ = swarm.trigger_rollback(service));
            }
            Happening::TakeAway(app) => self.meddle(app, SimulatedSwarm::take_away),
            Happening::LoseNode(time) => {
                // The first one is the manager.
                let nodes = self.swarm.node_names();
                if let Some(node) = nodes.get(1..).and_then(<[String]>::first).cloned() {
                    let swarm = self.swarm.clone();
                    swarm.lose_node(&node);
                    tokio::spawn(async move {
                        sleep(time).await;
                        swarm.return_node(&node);
                    });
                }
            }
        }
    }

    /// Refusals are part of the story: the contract suite knows which are right.
    fn answer(&self, answer: model::Result<()>) {
        if let Err(error) = answer
            && matches!(error.code, ErrorCode::Internal | ErrorCode::Unavailable)
        {
            self.judge.object(format!("the ledger failed a tenant: {}", error.chain()));
        }
    }

    fn meddle(&self, app: usize, act: impl FnOnce(&SimulatedSwarm, &str)) {
        if let Some(app) = self.apps.get(app).and_then(|app| self.ledger.app(*app)) {
            self.judge.meddled(app.id);
            act(&self.swarm, &app.service_name);
        }
    }

    fn report(&self, seed: u64) -> Report {
        let deployments = self.ledger.deployments();
        let mut ends: BTreeMap<Status, usize> = BTreeMap::new();
        for deployment in &deployments {
            *ends.entry(deployment.status).or_default() += 1;
        }
        let deployments = deployments.iter().map(|one| one.id);
        let names = Names::new(self.apps.iter().copied(), deployments);
        // What one statement writes of several deployments has no order.
        let mut events = self.ledger.events();
        events.sort_by_key(|event| (event.created_at, event.deployment_id));
        let told = events.into_iter().map(|event| {
            let (at, of) = (event.created_at, event.deployment_id);
            names.tell(&format!("{at} {of} {}: {}", event.status, event.message))
        });
        Report {
            seed,
            ends,
            calls: self.weather.calls.load(Ordering::Relaxed),
            deaths: self.weather.deaths.load(Ordering::Relaxed),
            told: told.collect(),
            violations: self.judge.violations().iter().map(|why| names.tell(why)).collect(),
        }
    }
}
