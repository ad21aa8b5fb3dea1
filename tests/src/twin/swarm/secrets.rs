//! Secrets and configs of tenants in the simulated Swarm. What is in them is nobody's business here: nothing shows it.

use std::collections::BTreeMap;

use model::names;
use model::secret::SecretKind;
use orchestrator::swarm::{ListedSecret, SecretSpec, SwarmError, SwarmResult};

/// One of them.
#[derive(Debug)]
struct Stored {
    kind: SecretKind,
    id: String,
    name: String,
    labels: BTreeMap<String, String>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Secrets(Vec<Stored>);

impl Secrets {
    pub(super) fn find(&self, kind: SecretKind, name: &str) -> Option<String> {
        let found = self.0.iter().find(|stored| stored.kind == kind && stored.name == name);
        found.map(|stored| stored.id.clone())
    }

    pub(super) fn has(&self, kind: SecretKind, id: &str) -> bool {
        self.0.iter().any(|stored| stored.kind == kind && stored.id == id)
    }

    pub(super) fn create(&mut self, number: u64, spec: &SecretSpec<'_>) -> SwarmResult<String> {
        if self.find(spec.kind, &spec.name).is_some() {
            return Err(SwarmError::NameTaken(spec.name.clone()));
        }
        let id = format!("{}-{number}", spec.kind);
        self.0.push(Stored {
            kind: spec.kind,
            id: id.clone(),
            name: spec.name.clone(),
            labels: spec.labels.clone(),
        });
        Ok(id)
    }

    pub(super) fn of_platform(&self, kind: SecretKind, platform: &str) -> Vec<ListedSecret> {
        let is_of_platform = |stored: &&Stored| {
            stored.kind == kind
                && stored.labels.get(names::LABEL_PLATFORM).is_some_and(|name| name == platform)
        };
        let listed = |stored: &Stored| ListedSecret {
            id: stored.id.clone(),
            name: stored.name.clone(),
            is_version: stored.labels.contains_key(names::LABEL_SECRET_VERSION),
        };
        self.0.iter().filter(is_of_platform).map(listed).filter(|one| one.is_version).collect()
    }

    pub(super) fn remove(&mut self, id: &str) {
        self.0.retain(|stored| stored.id != id);
    }
}
