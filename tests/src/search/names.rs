//! Names for ids, by when things were made: ids are of chance where Postgres keeps the ledger, and a
//! story has to be the same text each time.

use model::id::{AppId, DeploymentId};

/// Each id with its name.
pub(super) struct Names(Vec<(String, String)>);

impl Names {
    /// Names apps and deployments, each oldest first.
    pub(super) fn new(
        apps: impl Iterator<Item = AppId>,
        deployments: impl Iterator<Item = DeploymentId>,
    ) -> Self {
        let apps = (1..).zip(apps).map(|(number, id)| (id.to_string(), format!("app {number}")));
        let deployments = (1..)
            .zip(deployments)
            .map(|(number, id)| (id.to_string(), format!("deployment {number}")));
        Self(apps.chain(deployments).collect())
    }

    /// A sentence, with names for the ids in it.
    pub(super) fn tell(&self, sentence: &str) -> String {
        self.0.iter().fold(sentence.to_owned(), |told, (id, name)| told.replace(id, name))
    }
}
