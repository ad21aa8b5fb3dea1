//! Secrets and configs of the swarm: small files that it distributes. Docker has two of everything here; we have one.

use std::collections::HashMap;

use bollard::models::{Config, Secret};
use bollard::query_parameters::{ListConfigsOptionsBuilder, ListSecretsOptionsBuilder};
use model::names;
use model::secret::SecretKind;

use super::{DockerSwarm, call, optional, outgoing};
use crate::swarm::{ConfigSpec, ListedSecret, SecretSpec, SwarmError, SwarmResult};

impl DockerSwarm {
    pub(super) async fn config_find_or_create(&self, spec: &ConfigSpec<'_>) -> SwarmResult<String> {
        if let Some(id) = self.id_of(SecretKind::Config, &spec.name).await? {
            return Ok(id);
        }
        match call(self.docker.create_config(outgoing::config(spec))).await {
            Ok(created) => Ok(created.id),
            Err(SwarmError::NameTaken(_)) => self
                .id_of(SecretKind::Config, &spec.name)
                .await?
                .ok_or_else(|| SwarmError::NameTaken(spec.name.clone())),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn id_of(&self, kind: SecretKind, name: &str) -> SwarmResult<Option<String>> {
        // The name filter matches prefixes: compare.
        let there = self.listed(kind, ("name", name)).await?;
        Ok(there.into_iter().find(|one| one.name == name).map(|one| one.id))
    }

    pub(super) async fn create(&self, spec: &SecretSpec<'_>) -> SwarmResult<String> {
        let created = match spec.kind {
            SecretKind::Secret => call(self.docker.create_secret(outgoing::secret(spec))).await,
            SecretKind::Config => {
                call(self.docker.create_config(outgoing::tenants_config(spec))).await
            }
        };
        Ok(created?.id)
    }

    pub(super) async fn delivered(
        &self,
        kind: SecretKind,
        platform: &str,
    ) -> SwarmResult<Vec<ListedSecret>> {
        let label = format!("{}={platform}", names::LABEL_PLATFORM);
        let there = self.listed(kind, ("label", &label)).await?;
        // The platform's own config, the health probe, is no version of anything.
        Ok(there.into_iter().filter(|one| one.is_version).collect())
    }

    pub(super) async fn remove(&self, kind: SecretKind, id: &str) -> SwarmResult<()> {
        let removed = match kind {
            SecretKind::Secret => call(self.docker.delete_secret(id)).await,
            SecretKind::Config => call(self.docker.delete_config(id)).await,
        };
        optional(removed)?;
        Ok(())
    }

    async fn listed(
        &self,
        kind: SecretKind,
        (filter, value): (&str, &str),
    ) -> SwarmResult<Vec<ListedSecret>> {
        let filter = HashMap::from([(filter, vec![value])]);
        Ok(match kind {
            SecretKind::Secret => {
                let options = ListSecretsOptionsBuilder::new().filters(&filter).build();
                let there = call(self.docker.list_secrets(Some(options))).await?;
                there.into_iter().filter_map(of_secret).collect()
            }
            SecretKind::Config => {
                let options = ListConfigsOptionsBuilder::new().filters(&filter).build();
                let there = call(self.docker.list_configs(Some(options))).await?;
                there.into_iter().filter_map(of_config).collect()
            }
        })
    }
}

fn of_secret(secret: Secret) -> Option<ListedSecret> {
    let spec = secret.spec?;
    listed(secret.id?, spec.name?, spec.labels)
}

fn of_config(config: Config) -> Option<ListedSecret> {
    let spec = config.spec?;
    listed(config.id?, spec.name?, spec.labels)
}

fn listed(
    id: String,
    name: String,
    labels: Option<HashMap<String, String>>,
) -> Option<ListedSecret> {
    let is_version = labels.is_some_and(|labels| labels.contains_key(names::LABEL_SECRET_VERSION));
    Some(ListedSecret { id, name, is_version })
}
