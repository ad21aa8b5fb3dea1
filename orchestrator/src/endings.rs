//! The end of organizations: whoever's time of grace is over has its apps removed, each by a deployment like any
//! other; then its networks leave the swarm, and Postgres erases what was its own. Each step is looked for anew, so
//! that a worker that dies in between leaves nothing that another one does not finish.

use std::sync::Arc;
use std::time::Duration;

use db::deletions::{Ending, endings_due, organization_erase};
use db::deployments::{DeploymentRequest, deployment_accept};
use db::{Actor, Answer, AppScope, Credential, Database, Expected, OrgScope, Request, Segment};
use model::Result;
use model::error::ErrorCode;
use model::platform::Platform;
use model::policy::Exceptions;
use model::policy::access::Permissions;
use model::token::TokenScope;
use model::user::PlatformRole;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::network::remove_network;
use crate::swarm::Swarm;
use crate::wakeups::Relay;

/// Between two looks.
const ROUND: Duration = Duration::from_secs(5);
/// Most organizations of one look.
const BATCH: i64 = 20;

/// Ends organizations.
pub struct Endings<S, R> {
    /// Where they are.
    pub database: Database,
    /// Where their networks are.
    pub swarm: Arc<S>,
    /// The installation's settings.
    pub platform: Arc<Platform>,
    /// Where the wake-ups of removals go out.
    pub relay: R,
}

impl<S: Swarm, R: Relay> Endings<S, R> {
    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let rounds = async {
            loop {
                if let Err(error) = self.round().await {
                    tracing::warn!(error = %error.chain(), "it is not known which organizations are to end; asked again");
                }
                sleep(ROUND).await;
            }
        };
        stop.run_until_cancelled(rounds).await;
    }

    async fn round(&self) -> Result<()> {
        for ending in endings_due(&self.database, BATCH).await? {
            // One organization's trouble is not the others'.
            if let Err(error) = self.end(&ending).await {
                tracing::warn!(organization = %ending.id, error = %error.chain(), "not ended yet; tried again");
            }
        }
        Ok(())
    }

    /// Takes the next step that can be taken.
    async fn end(&self, ending: &Ending) -> Result<()> {
        self.remove_apps(ending).await?;
        if ending.has_apps || !self.remove_networks(ending).await {
            return Ok(());
        }
        if organization_erase(&self.database, ending.id).await? {
            tracing::info!(organization = %ending.id, "its time of grace was over: it was erased");
        }
        Ok(())
    }

    /// Accepts the removal of each app that nobody removes yet.
    async fn remove_apps(&self, ending: &Ending) -> Result<()> {
        let permissions = Permissions::of(None, Some(PlatformRole::Admin), &[TokenScope::Admin]);
        let organization = OrgScope::granted(ending.id, permissions, Exceptions::NONE);
        for (app, environment) in ending.apps.iter().zip(&ending.environments) {
            let scope = AppScope {
                organization,
                environment: Segment::Id(*environment),
                app: Segment::Id(*app),
            };
            let request = Request {
                actor: Actor {
                    credential: Credential::Other(Uuid::nil()),
                    user: None,
                    request_id: format!("end-of-{}", ending.id),
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
            let wanted = DeploymentRequest::Remove;
            let accepted = deployment_accept(
                &self.database,
                &self.platform,
                &scope,
                &wanted,
                &request,
                nobody,
            );
            match accepted.await {
                Ok(_) => self.relay.wake(),
                // Another worker was faster.
                Err(error)
                    if matches!(error.code, ErrorCode::BeingRemoved | ErrorCode::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes its networks out of the swarm; whether none is left. One that a task is still on is refused, and tried
    /// again.
    async fn remove_networks(&self, ending: &Ending) -> bool {
        for name in &ending.networks {
            let removed = remove_network(&*self.swarm, &self.platform.name, name, ending.id).await;
            if let Err(error) = removed {
                tracing::info!(%error, network = name, "not gone yet");
                return false;
            }
        }
        true
    }
}
