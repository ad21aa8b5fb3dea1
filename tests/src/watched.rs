//! What is live, watched: the production runner and watch on a real Postgres, over a simulated Swarm.
//! Postgres's clock can be moved, so that nobody waits for minutes to pass.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use chrono::TimeDelta;
use db::Database;
use model::app::App;
use model::drift::OnDrift;
use model::id::WorkerId;
use model::platform::Platform;
use model::spec::{AppSpec, RestartCondition, RestartPolicy};
use model::update_policy::UpdatePolicy;
use orchestrator::swarm::{ImageLookup, Swarm as _};
use orchestrator::wakeups::{Acknowledge, Relay, Wakeups};
use orchestrator::{Live, Runner};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::contract::ledger::postgres::PostgresStage;
use crate::contract::ledger::{self, Home, Stage as _};
use crate::database::TestDatabase;
use crate::run::run_on_database;
use crate::twin::swarm::{Behaviour, End, SimulatedSwarm};
use crate::twin::vault::MemoryVault;
use crate::{Outcome, sql, wait_until};

/// A clock that can be moved, in a schema that stands before Postgres's own.
const CLOCK: &[&str] = &[
    "CREATE SCHEMA moved_clock",
    "CREATE TABLE moved_clock.ahead (by interval NOT NULL)",
    "INSERT INTO moved_clock.ahead VALUES ('0')",
    "CREATE FUNCTION moved_clock.now() RETURNS timestamptz LANGUAGE sql STABLE
         RETURN (SELECT pg_catalog.now() + by FROM moved_clock.ahead)",
    "GRANT USAGE ON SCHEMA moved_clock TO PUBLIC",
    "GRANT SELECT ON moved_clock.ahead TO PUBLIC",
];

/// The image of its apps: it runs until somebody ends it, and ends with an error then.
const IMAGE: &str = "registry.test/web:v1";

/// The longest that anything is waited for.
const LONGEST: Duration = Duration::from_secs(60);

/// An installation without a broker, whose swarm is simulated.
pub struct Watched {
    /// The swarm.
    pub swarm: SimulatedSwarm,
    stage: PostgresStage,
    worker: Database,
    owner: Database,
    platform: Arc<Platform>,
    home: Home,
}

/// Tells a story on one. Everything of it ends with the story.
pub fn watched(
    on_drift: OnDrift,
    story: impl AsyncFnOnce(&Watched, &mut JoinSet<()>) -> Outcome,
) -> Outcome {
    run_on_database(async |database| {
        let watched = Watched::on(database, on_drift).await?;
        let mut workers = JoinSet::new();
        let runner = Runner {
            worker: WorkerId::new(),
            ledger: watched.worker.clone(),
            swarm: Arc::new(watched.swarm.clone()),
            platform: Arc::clone(&watched.platform),
            vault: Arc::new(MemoryVault::default()),
            slots: 32,
            relay: Silent,
        };
        workers.spawn(runner.run(Silent, CancellationToken::new()));
        story(&watched, &mut workers).await
    })
}

impl Watched {
    async fn on(database: &TestDatabase, on_drift: OnDrift) -> Result<Self> {
        let owner = database.owner();
        for statement in CLOCK {
            sql::execute(owner, statement).await?;
        }
        let name = sql::row(owner, "SELECT current_database() AS name").await?;
        let name = name["name"].as_str().context("a name")?;
        let path =
            format!("ALTER DATABASE {name} SET search_path = moved_clock, pg_catalog, public");
        sql::execute(owner, &path).await?;
        let platform = Platform { local_images: false, on_drift, ..ledger::platform() };
        let stage = PostgresStage::on(database, platform.clone()).await?;
        let home = stage.organization("acme").await?;
        let swarm = SimulatedSwarm::new(7, 0, chrono::Utc::now());
        let watched = Self {
            swarm,
            stage,
            // Their connections are made from here on, and find the clock.
            worker: Database::new(database.worker_url()?.into(), 8)?,
            owner: Database::new(database.owner_url()?.into(), 2)?,
            platform: Arc::new(platform),
            home,
        };
        watched.behave().await?;
        Ok(watched)
    }

    async fn behave(&self) -> Outcome {
        let found = self.swarm.image_in_registry(IMAGE, None).await?;
        let ImageLookup::Digest(digest) = found else { bail!("{found:?}") };
        let soon = Behaviour::healthy(Duration::from_millis(100));
        let never = Duration::from_secs(24 * 3600);
        let behaviour = Behaviour { ends: Some((never, End::Exit(3))), ..soon };
        self.swarm.behave(&format!("registry.test/web@{digest}"), [behaviour]);
        Ok(())
    }

    /// Begins to watch what is live, as a worker does.
    pub fn watch(&self, workers: &mut JoinSet<()>) {
        let live = Live {
            database: self.worker.clone(),
            swarm: Arc::new(self.swarm.clone()),
            platform: Arc::clone(&self.platform),
            vault: Arc::new(MemoryVault::default()),
            relay: Silent,
        };
        workers.spawn(live.run(CancellationToken::new()));
    }

    /// So many apps of one replica, live. A task that ends is replaced after this many seconds.
    pub async fn deploy(&self, apps: usize, delay_seconds: u32) -> Result<Vec<App>> {
        let mut accepted = Vec::new();
        for number in 0..apps {
            let spec = AppSpec {
                update_policy: UpdatePolicy::FAST,
                restart: RestartPolicy { condition: RestartCondition::Any, delay_seconds },
                ..AppSpec::of_image(IMAGE)
            };
            let slug = format!("web-{number}");
            let app = self.stage.app_create(self.home, &slug, spec, 1).await?;
            self.stage.accept(app, &ledger::deploy()).await?;
            accepted.push(app);
        }
        wait_until("every app to be live", LONGEST, async || {
            Ok(sql::count(&self.owner, "apps WHERE live_release_id IS NULL").await? == 0)
        })
        .await?;
        let mut apps = Vec::new();
        for app in accepted {
            apps.push(self.stage.app(app).await?);
        }
        Ok(apps)
    }

    /// Lets so much time pass for Postgres.
    pub async fn pass(&self, time: TimeDelta) -> Outcome {
        let moved = format!(
            "UPDATE moved_clock.ahead SET by = by + interval '{} milliseconds'",
            time.num_milliseconds()
        );
        ensure!(sql::execute(&self.owner, &moved).await? == 1);
        Ok(())
    }

    /// Ends every task of the app so many times, each time when all of them run.
    pub async fn crash(&self, app: &App, times: usize) -> Outcome {
        for _ in 0..times {
            wait_until("all tasks to run", LONGEST, async || {
                let Some(seen) = self.swarm.snapshot(&app.service_name) else { return Ok(false) };
                let running: usize = seen.running.values().sum();
                Ok(running > 0 && i32::try_from(running)? == seen.spec.replicas)
            })
            .await?;
            ensure!(self.swarm.end_tasks(&app.service_name) > 0, "nothing runs");
            self.swarm.announce();
        }
        Ok(())
    }

    /// Waits until the status of all of these apps says this at once, and looks at the swarm again and again meanwhile.
    pub async fn until(&self, apps: &[App], what: &str) -> Outcome {
        let ids: Vec<String> = apps.iter().map(|app| format!("'{}'", app.id.as_uuid())).collect();
        let told = format!("app_status WHERE app_id IN ({}) AND {what}", ids.join(", "));
        wait_until(what, LONGEST, async || {
            self.swarm.announce();
            Ok(usize::try_from(sql::count(&self.owner, &told).await?)? == apps.len())
        })
        .await
    }

    /// Has every app in a crash loop tried again this long from now, by Postgres's clock.
    pub async fn resume_after(&self, time: TimeDelta) -> Outcome {
        let resume = format!(
            "UPDATE crash_loops SET resumes_at = moved_clock.now() + interval '{} seconds'",
            time.num_seconds()
        );
        ensure!(sql::execute(&self.owner, &resume).await? > 0, "no crash loop");
        Ok(())
    }

    /// Lets so many looks at the swarm begin.
    pub async fn looks(&self, count: usize) -> Outcome {
        let before = self.swarm.lists();
        wait_until("looks at the swarm", LONGEST, async || {
            self.swarm.announce();
            Ok(self.swarm.lists() >= before + count)
        })
        .await
    }

    /// Connections as the owner.
    pub const fn owner(&self) -> &Database {
        &self.owner
    }
}

/// A broker that never says anything: the runner's sweep finds what there is.
#[derive(Clone)]
struct Silent;

impl Relay for Silent {
    fn wake(&self) {}
}

impl Wakeups for Silent {
    type Wakeup = Self;

    async fn next(&mut self) -> Option<Self> {
        std::future::pending().await
    }
}

impl Acknowledge for Silent {
    async fn done(self) {}
}
