//! Keeping secrets: values that no release needs are thrown away, in Postgres first and in Swarm after it; owners are told of those that
//! are too old. Slowly: nothing may depend on when this comes by. Logins for registries that are about to end are made anew here, too.

use std::sync::Arc;
use std::time::Duration;

use db::Database;
use db::registry_credentials::opening::{SealedCredential, candidates_purge, credentials_ending};
use db::secrets::keeping::{rotations_tell, swarm_names_unneeded, versions_collect};
use futures::{StreamExt as _, stream};
use model::error::chain;
use model::platform::Platform;
use model::secret::SecretKind;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::swarm::{Swarm, SwarmError};
use crate::vault::SealedVault;

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(600);
/// Between two looks for logins that are about to end.
const LOGIN_ROUND: Duration = Duration::from_secs(60);
/// Logins that are made at once.
const LOGINS_AT_ONCE: usize = 8;
/// Most secrets of one transaction, and most names of one statement.
const BATCH: usize = 200;

/// Most short-lived logins that are made in a round.
const LOGINS: i64 = 50;

/// Postgres's, or the daemon's.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Keeps the secrets of an installation.
pub struct SecretKeeping<S> {
    /// Where they are.
    pub database: Database,
    /// Where they were delivered.
    pub swarm: Arc<S>,
    /// The installation's settings.
    pub platform: Arc<Platform>,
    /// What makes short-lived logins.
    pub vault: SealedVault,
}

impl<S: Swarm> SecretKeeping<S> {
    /// Runs until `stop`: at once, and every ten minutes; short-lived logins every minute. Several workers at it do no harm.
    pub async fn run(self, stop: CancellationToken) {
        let rounds = async {
            loop {
                if let Err(error) = self.round().await {
                    let error = chain(&*error);
                    tracing::warn!(
                        error,
                        "secrets that nothing needs stay for now; again in a while"
                    );
                }
                sleep(ROUND).await;
            }
        };
        let logins = async {
            loop {
                self.keep_alive().await;
                sleep(LOGIN_ROUND).await;
            }
        };
        let both = async { tokio::join!(rounds, logins) };
        stop.run_until_cancelled(both).await;
    }

    /// Makes short-lived logins before those that there are end. One organization's trouble is not the others'.
    async fn keep_alive(&self) {
        let ending = match credentials_ending(&self.database, LOGINS).await {
            Ok(ending) => ending,
            Err(error) => {
                tracing::warn!(error = %error.chain(), "which logins for registries end soon is not known");
                return;
            }
        };
        let make = async |row: SealedCredential| {
            let (id, registry) = (row.id, row.registry.clone());
            if let Err(error) = self.vault.issue(row).await {
                tracing::warn!(credential = %id, registry, %error, "no new login was made; tried again");
            }
        };
        stream::iter(ending).map(make).buffer_unordered(LOGINS_AT_ONCE).collect::<()>().await;
    }

    /// One round.
    pub async fn round(&self) -> Result<(), Failure> {
        candidates_purge(&self.database).await?;
        let limit = i64::try_from(BATCH)?;
        while rotations_tell(&self.database, limit).await? == BATCH {}
        loop {
            let collected = versions_collect(&self.database, limit).await?;
            if collected == 0 {
                break;
            }
            tracing::info!(collected, "values of secrets that no release needs were thrown away");
        }
        for kind in SecretKind::ALL {
            self.sweep(*kind).await?;
        }
        Ok(())
    }

    /// From what Swarm has to what is not needed: nothing has to be remembered of what was removed already.
    async fn sweep(&self, kind: SecretKind) -> Result<(), Failure> {
        let there = self.swarm.secrets(kind, &self.platform.name).await?;
        let names: Vec<String> = there.iter().map(|object| object.name.clone()).collect();
        for batch in names.chunks(BATCH) {
            let unneeded = swarm_names_unneeded(&self.database, batch).await?;
            for object in there.iter().filter(|object| unneeded.contains(&object.name)) {
                match self.swarm.secret_remove(kind, &object.id).await {
                    Ok(()) => tracing::info!(%kind, name = object.name, "taken out of the swarm"),
                    // A service that is about to be replaced, or to go.
                    Err(SwarmError::Refused(why)) => {
                        tracing::debug!(%kind, name = object.name, why, "still in use");
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }
}
