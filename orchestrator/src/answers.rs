//! Answers to what APIs ask workers. Nothing here changes anything.

use std::sync::Arc;

use db::Database;
use db::registry_credentials::opening::credential_sealed;
use model::id::RegistryCredentialId;
use model::question::{CredentialCheck, Question, Reply};

use crate::swarm::DockerSwarm;
use crate::vault::{SealedVault, VaultError};

/// What a worker answers with.
pub struct Answers {
    /// Where what is asked about is written.
    pub database: Database,
    /// What is asked.
    pub swarm: Arc<DockerSwarm>,
    /// What credentials are opened with.
    pub vault: SealedVault,
}

impl Answers {
    /// The answer to a question.
    pub async fn reply(&self, question: Question) -> Reply {
        match question {
            Question::CheckCredential { credential } => {
                match self.check_credential(credential).await {
                    Ok(check) => Reply::CredentialChecked { check },
                    Err(why) => {
                        tracing::warn!(%credential, why, "a credential could not be checked");
                        Reply::Failed { why }
                    }
                }
            }
        }
    }

    async fn check_credential(&self, id: RegistryCredentialId) -> Result<CredentialCheck, String> {
        let row = credential_sealed(&self.database, id).await.map_err(|error| error.chain())?;
        let row = row.ok_or("there is no such credential")?;
        let login = match self.vault.open_credential(row).await {
            Ok(login) => login,
            // Of what its owner gave, no login can be made.
            Err(VaultError::NotMade(answer)) => {
                return Ok(CredentialCheck::Refused { answer });
            }
            // Which file it is in is not for tenants.
            Err(error) => {
                tracing::warn!(credential = %id, %error, "a credential cannot be opened here");
                return Err("this worker cannot open it; its operator's log says why".to_owned());
            }
        };
        self.swarm.login_check(&login).await.map_err(|error| error.to_string())
    }
}
