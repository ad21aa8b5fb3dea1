//! Many apps of several organizations, deployed at once: when the last of them has its verdict,
//! beside the same services made by as many raw calls at once.
//!
//! Nobody watches Skep's services from outside meanwhile: that would cost the daemon as much as the
//! deployments do. What lies between answer and verdict is read off each deployment's timeline.

use std::time::Instant;

use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};
use futures::future::try_join_all;
use serde::Serialize;
use serde_json::{Value, json};
// `tests` alone would be this file's own.
use ::tests::answer::{list, text};
use ::tests::docker::Engine;
use ::tests::{Client, Tenant};

use crate::images::Images;
use crate::installation::Installation;
use crate::operation::{Operation, Timeline};
use crate::progress::Step;
use crate::raw::{Raw, spec_of};
use crate::skep::{Skep, spec};
use crate::watch::{Pace, since};

/// What can be done at once, in this order.
pub(crate) const OPERATIONS: [Operation; 2] = [Operation::Create, Operation::Update];

/// Whose the apps are, in turns.
const ORGANIZATIONS: [&str; 4] = ["north", "east", "south", "west"];

/// Who deploys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Contender {
    /// Skep, with one worker of so many slots.
    Skep { slots: u64 },
    /// Docker, asked directly.
    Raw,
}

/// One deployment of a crowd: milliseconds since the first request of all was sent.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Member {
    /// A worker had a slot for it; a raw caller needs none.
    pub(crate) taken_up: Option<f64>,
    #[serde(flatten)]
    pub(crate) timeline: Timeline,
}

/// One operation on all apps at once.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Run {
    pub(crate) contender: Contender,
    pub(crate) operation: Operation,
    pub(crate) members: Vec<Member>,
}

/// The organizations, and how many apps there are.
pub(crate) struct Crowd<'a> {
    pub(crate) installation: &'a str,
    pub(crate) engine: &'a Engine,
    pub(crate) images: &'a Images,
    tenants: Vec<Tenant>,
    apps: u32,
}

impl Crowd<'_> {
    /// Makes the organizations, and their networks: a raw caller has his ready, too.
    pub(crate) async fn make<'a>(
        skep: &Skep<'a>,
        operator: &Client,
        apps: u32,
    ) -> Result<Crowd<'a>> {
        let tenants = try_join_all(ORGANIZATIONS.map(async |slug| {
            let tenant = Installation::tenant(operator, slug).await?;
            let spec = json!({ "image": skep.images.v1, "replicas": 0 });
            let app = tenant.create_app("network", spec).await?;
            let deployment = tenant.deploy("network", json!({})).await?;
            // The network is there before the spec that refers to it.
            tenant.wait_for_status(&deployment, &["updating", "verifying"]).await?;
            remove(&tenant, &app).await?;
            anyhow::Ok(tenant)
        }));
        Ok(Crowd {
            installation: skep.installation,
            engine: skep.engine,
            images: skep.images,
            tenants: tenants.await?,
            apps,
        })
    }

    /// Skep's side, with one worker of so many slots; also the specs that Docker holds after each
    /// operation.
    pub(crate) async fn skep(
        &self,
        slots: u64,
        operations: &[Operation],
    ) -> Result<(Vec<Run>, Vec<Vec<Value>>)> {
        let contender = Contender::Skep { slots };
        let made = (0..self.apps).map(async |number| {
            let tenant = self.tenant(number)?;
            let slug = format!("of-{slots}-{number}");
            anyhow::Ok((tenant, tenant.create_app(&slug, spec(&self.images.v1, 1)).await?))
        });
        let apps = try_join_all(made).await?;
        let (mut runs, mut specs) = (Vec::new(), Vec::new());
        for &operation in operations {
            let step = Step::begin(operation.title(), &format!("{} apps", self.apps));
            let begun = Instant::now();
            let deploying =
                apps.iter().map(|(tenant, app)| self.deploy(tenant, app, operation, begun));
            let members = try_join_all(deploying).await?;
            let run = Run { contender, operation, members };
            step.done(&run.told());
            runs.push(run);
            let held =
                apps.iter().map(async |(_, app)| spec_of(self.engine, &Skep::service(app)?).await);
            specs.push(try_join_all(held).await?);
        }
        try_join_all(apps.iter().map(|(tenant, app)| remove(tenant, app))).await?;
        Ok((runs, specs))
    }

    /// The raw side: the same specs, under other names.
    pub(crate) async fn raw(
        &self,
        specs: &[Vec<Value>],
        operations: &[Operation],
    ) -> Result<Vec<Run>> {
        let created = specs.first().context("something was deployed")?;
        let updated = specs.last().unwrap_or(created);
        let raws = created.iter().zip(updated).map(|(v1, v2)| Raw {
            engine: self.engine,
            v1: v1.clone(),
            v2: v2.clone(),
            replicas: 1,
            pace: Pace::MANY,
        });
        let raws: Vec<Raw<'_>> = raws.collect();
        let named = || {
            let name = |number| format!("{}-crowd-{number}", self.installation);
            raws.iter().enumerate().map(move |(number, raw)| (name(number), raw))
        };
        let mut runs = Vec::new();
        for &operation in operations {
            let step = Step::begin(operation.title(), &format!("{} services", self.apps));
            let operating = named().map(async |(name, raw)| {
                let timeline = raw.operate(&name, operation).await?;
                anyhow::Ok(Member { taken_up: None, timeline })
            });
            let members = try_join_all(operating).await?;
            let run = Run { contender: Contender::Raw, operation, members };
            step.done(&run.told());
            runs.push(run);
        }
        try_join_all(named().map(async |(name, raw)| raw.remove(&name).await)).await?;
        Ok(runs)
    }

    fn tenant(&self, number: u32) -> Result<&Tenant> {
        let turn = usize::try_from(number)? % self.tenants.len();
        self.tenants.get(turn).context("there are organizations")
    }

    async fn deploy(
        &self,
        tenant: &Tenant,
        app: &Value,
        operation: Operation,
        begun: Instant,
    ) -> Result<Member> {
        let body = match operation {
            Operation::Update => json!({ "image": self.images.v2 }),
            _ => json!({}),
        };
        let deployment = tenant.deploy(text(app, "/slug")?, body).await?;
        let answered = since(begun);
        let ended = tenant.wait_for(&deployment, "succeeded", "live").await?;
        let verdict = since(begun);
        // Postgres's clock tells how long after the accept; the accept was before its answer.
        let reached = |status| anyhow::Ok(answered + reached(&ended, status)?);
        Ok(Member {
            taken_up: Some(reached("provisioning")?),
            timeline: Timeline {
                answered,
                spec_changed: reached("updating")?,
                running: reached("verifying")?,
                verdict,
            },
        })
    }
}

impl Run {
    /// When the last one had its verdict.
    pub(crate) fn last(&self) -> f64 {
        self.members.iter().map(|member| member.timeline.verdict).fold(0.0, f64::max)
    }

    fn told(&self) -> String {
        let who = match self.contender {
            Contender::Skep { slots } => format!("Skep with {slots} slots"),
            Contender::Raw => "raw".to_owned(),
        };
        format!("{} at once, {who}: the last {:.0} ms", self.members.len(), self.last())
    }
}

/// Milliseconds from a deployment's accept to its reaching a status for the last time.
fn reached(deployment: &Value, status: &str) -> Result<f64> {
    let timeline = list(deployment, "/timeline")?;
    let step = timeline.iter().rfind(|step| step["status"] == status);
    let step = step.with_context(|| format!("it was never {status}: {deployment:#}"))?;
    let at: DateTime<Utc> = text(step, "/at")?.parse()?;
    let accepted: DateTime<Utc> = text(deployment, "/created_at")?.parse()?;
    Ok((at - accepted).as_seconds_f64() * 1000.0)
}

async fn remove(tenant: &Tenant, app: &Value) -> Result<()> {
    let removal = tenant.remove(text(app, "/id")?).await?;
    tenant.wait_for(&removal, "succeeded", "removed").await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_counts_from_the_accept() {
        let deployment = json!({
            "created_at": "2026-01-01T00:00:00.000Z",
            "timeline": [
                { "status": "queued", "at": "2026-01-01T00:00:00.000Z" },
                { "status": "updating", "at": "2026-01-01T00:00:01.000Z" },
                { "status": "verifying", "at": "2026-01-01T00:00:02.000Z" },
                { "status": "updating", "at": "2026-01-01T00:00:03.500Z" },
            ],
        });
        assert_eq!(reached(&deployment, "updating").ok(), Some(3500.0));
        assert!(reached(&deployment, "provisioning").is_err());
    }
}
