//! A worker ends while it drives an update, killed or asked to stop: how long until another one has
//! the deployment, and until its verdict.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use db::Database;
use model::id::DeploymentId;
use serde::Serialize;
use serde_json::{Value, json};
use tests::answer::text;
use tests::sql;
use tokio::time::sleep;

use crate::installation::Installation;
use crate::process::Process;
use crate::progress::Step;
use crate::skep::Skep;
use crate::watch::since;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(10);
/// Nothing that is looked for here takes longer.
const LONGEST: Duration = Duration::from_secs(60);

/// How a worker ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum End {
    /// SIGKILL: its lease has to run out.
    Killed,
    /// SIGTERM: it hands over.
    Stopped,
}

/// One worker's end, and what came after: milliseconds since the signal was sent.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Recovery {
    pub(crate) round: u32,
    pub(crate) end: End,
    /// The deployment's status when it ended.
    pub(crate) status: String,
    /// How long its lease still held.
    pub(crate) lease_left: f64,
    /// Another worker had claimed the deployment.
    pub(crate) taken_over: f64,
    pub(crate) verdict: f64,
}

impl End {
    /// For people.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Stopped => "stopped",
        }
    }
}

/// Two workers, of which one ends: so often killed and so often stopped.
pub(crate) async fn measure(
    installation: &Installation,
    skep: &Skep<'_>,
    rounds: u32,
) -> Result<Vec<Recovery>> {
    let database = installation.database()?;
    let mut workers = Workers { installation, driving: Vec::new(), started: 0 };
    workers.start().await?;
    workers.start().await?;
    let app = skep.make("recovery").await?;
    let slug = text(&app, "/slug")?;
    skep.tenant.deploy_live(slug, json!({})).await?;
    let mut recoveries = Vec::new();
    for round in 1..=rounds {
        // In turns: while replicas start, and while they are watched.
        let status = if round % 2 == 1 { "updating" } else { "verifying" };
        for (end, image) in [(End::Killed, &skep.images.v2), (End::Stopped, &skep.images.v1)] {
            let step = Step::begin("recovery", &format!("round {round} of {rounds}"));
            let deployment = skep.tenant.deploy(slug, json!({ "image": image })).await?;
            let id: DeploymentId = text(&deployment, "/id")?.parse()?;
            let found = wait(&database, id, |row| row.status == status).await?;
            let driver = workers.who_drives(id).await?;
            let recovery = ended(&database, skep, (driver, end), (&deployment, id), found, round);
            let recovery = recovery.await?;
            workers.start().await?;
            step.done(&format!(
                "round {round} of {rounds}: {} in {status}, taken over after {:.0} ms",
                end.title(),
                recovery.taken_over
            ));
            recoveries.push(recovery);
        }
    }
    skep.remove(&app).await?;
    for worker in workers.driving {
        worker.stop().await?;
    }
    Ok(recoveries)
}

async fn ended(
    database: &Database,
    skep: &Skep<'_>,
    (driver, end): (Process, End),
    (deployment, id): (&Value, DeploymentId),
    found: Row,
    round: u32,
) -> Result<Recovery> {
    let sent = Instant::now();
    let ending = async {
        match end {
            End::Killed => driver.kill().await,
            End::Stopped => driver.stop().await,
        }
    };
    let following = async {
        wait(database, id, |row| row.fence > found.fence).await?;
        let taken_over = since(sent);
        skep.tenant.wait_for(deployment, "succeeded", "live").await?;
        anyhow::Ok((taken_over, since(sent)))
    };
    let ((), (taken_over, verdict)) = tokio::try_join!(ending, following)?;
    Ok(Recovery {
        round,
        end,
        status: found.status,
        lease_left: found.lease_left,
        taken_over,
        verdict,
    })
}

/// The workers that run.
struct Workers<'a> {
    installation: &'a Installation,
    driving: Vec<Process>,
    started: u32,
}

impl Workers<'_> {
    /// Starts another one, and waits until it drives.
    async fn start(&mut self) -> Result<()> {
        self.started += 1;
        let mut worker = self.installation.worker_beside(self.started)?;
        worker.driving().await?;
        self.driving.push(worker);
        Ok(())
    }

    /// Takes out the one that drives this deployment. It writes down each step after it was made.
    async fn who_drives(&mut self, deployment: DeploymentId) -> Result<Process> {
        let (started, id) = (Instant::now(), deployment.to_string());
        loop {
            for (index, worker) in self.driving.iter().enumerate() {
                if worker.told_of(&id)? {
                    return Ok(self.driving.swap_remove(index));
                }
            }
            pause(started, "a worker to tell of the deployment").await?;
        }
    }
}

/// What the ledger holds of a deployment.
struct Row {
    status: String,
    fence: i64,
    /// Milliseconds.
    lease_left: f64,
}

async fn wait(database: &Database, id: DeploymentId, until: impl Fn(&Row) -> bool) -> Result<Row> {
    let select = format!(
        "SELECT status, fence, (1000 * extract(epoch FROM lease_expires_at - now()))::float8 AS left
         FROM deployments WHERE id = '{}' AND lease_expires_at IS NOT NULL",
        id.as_uuid()
    );
    let started = Instant::now();
    loop {
        // None as long as nobody has claimed it.
        if let Some(found) = sql::rows(database, &select).await?.first() {
            let row = Row {
                status: text(found, "/status")?.to_owned(),
                fence: found["fence"].as_i64().context("a fence is a number")?,
                lease_left: found["left"].as_f64().context("a lease ends")?,
            };
            if until(&row) {
                return Ok(row);
            }
        }
        pause(started, "the ledger to say so").await?;
    }
}

async fn pause(since: Instant, what: &str) -> Result<()> {
    ensure!(since.elapsed() < LONGEST, "waited {} s for {what}", LONGEST.as_secs());
    sleep(LOOK).await;
    Ok(())
}
