//! The audit of disks: what the replicas of apps have written, measured through each reached node's own daemon, one worker at a time. Owners
//! are told at 80 % and at 100 % of what a replica may have; where the platform is set so, an app that is full is stopped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use db::app_disk::{FullApp, app_disk_forget, app_disk_write, disk_round_begin};
use db::deployments::{DeploymentRequest, deployment_accept};
use db::{Actor, Answer, AppScope, Credential, Database, Expected, OrgScope, Request, Segment};
use futures::future::join_all;
use model::disk::{GB, OnDiskFull, ReplicaDisk};
use model::error::ErrorCode;
use model::id::AppId;
use model::platform::Platform;
use model::policy::Exceptions;
use model::policy::access::Permissions;
use model::token::TokenScope;
use model::user::PlatformRole;
use model::{Error, Result};
use queue::RelayHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::swarm::docker::DockerSwarm;

/// Between two looks whether somebody is to measure.
const ROUND: Duration = Duration::from_secs(15);
/// Rounds after which an app that is not found running any more is forgotten.
const FORGOTTEN: u32 = 6;

/// Measures disks.
pub struct DiskAudit {
    /// Where it is written.
    pub database: Database,
    /// The daemons that are reached.
    pub swarm: Arc<DockerSwarm>,
    /// The installation's settings.
    pub platform: Arc<Platform>,
    /// Wakes the relay.
    pub relay: RelayHandle,
    /// Between two measurements; `None`: none is made.
    pub every: Option<Duration>,
}

impl DiskAudit {
    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let Some(every) = self.every else { return };
        let rounds = async {
            loop {
                if let Err(error) = self.round(every).await {
                    tracing::warn!(error = %error.chain(), "disks were not measured; again in a while");
                }
                sleep(ROUND.min(every)).await;
            }
        };
        stop.run_until_cancelled(rounds).await;
    }

    async fn round(&self, every: Duration) -> Result<()> {
        let Some(begun) = disk_round_begin(&self.database, every).await? else { return Ok(()) };
        // All at once: one that takes its time makes what was found on the others no older.
        let found = join_all(self.swarm.hosts().iter().map(async |host| {
            let (node, name) = host.node_and_name().await?;
            Some((node, name, host.written(&self.platform.name).await))
        }));
        let mut measured: BTreeMap<AppId, Vec<ReplicaDisk>> = BTreeMap::new();
        for (node, name, found) in found.await.into_iter().flatten() {
            match found {
                Ok(found) => {
                    for written in found {
                        let replica = ReplicaDisk {
                            task: written.task,
                            node: node.clone(),
                            bytes: written.bytes,
                        };
                        measured.entry(written.app).or_default().push(replica);
                    }
                }
                Err(error) => tracing::warn!(node = name, %error, "its disks were not measured"),
            }
        }
        let full = app_disk_write(&self.database, measured, begun).await?;
        app_disk_forget(&self.database, every * FORGOTTEN).await?;
        if self.platform.on_disk_full == OnDiskFull::Stop {
            for app in full {
                if let Err(error) = self.stop(&app).await {
                    tracing::warn!(app = %app.app, error = %error.chain(), "a full app was not stopped; tried again");
                }
            }
        }
        Ok(())
    }

    /// Accepts a stop of the app, as its owner might.
    async fn stop(&self, full: &FullApp) -> Result<()> {
        let permissions = Permissions::of(None, Some(PlatformRole::Admin), &[TokenScope::Admin]);
        let scope = AppScope {
            organization: OrgScope::granted(full.organization, permissions, Exceptions::NONE),
            environment: Segment::Id(full.environment),
            app: Segment::Id(full.app),
        };
        let request = Request {
            actor: Actor {
                credential: Credential::Other(Uuid::nil()),
                user: None,
                request_id: "disk".to_owned(),
                address: None,
            },
            key: None,
            expected: Expected::Any,
        };
        let nobody = |_| {
            Ok(Answer {
                status: 202,
                headers: Default::default(),
                body: String::new(),
                shown_once: None,
            })
        };
        let gb = |bytes: i64| bytes as f64 / GB as f64;
        let why = format!(
            "a replica has written {:.1} GB to disk, of {:.1} GB that it may: the platform stops such apps",
            gb(full.used_bytes),
            gb(full.limit_bytes)
        );
        let wanted = DeploymentRequest::Stop { why: Some(why) };
        let accepted =
            deployment_accept(&self.database, &self.platform, &scope, &wanted, &request, nobody);
        match accepted.await {
            Ok(_) => {
                tracing::info!(app = %full.app, "it is full: it is stopped");
                self.relay.wake();
                Ok(())
            }
            Err(error) if is_over(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Whether there is nothing to stop any more, or not now: the next measurement comes.
const fn is_over(error: &Error) -> bool {
    matches!(
        error.code,
        ErrorCode::BeingRemoved
            | ErrorCode::NotFound
            | ErrorCode::NothingDeployed
            | ErrorCode::AppStopped
            | ErrorCode::InUse
    )
}
