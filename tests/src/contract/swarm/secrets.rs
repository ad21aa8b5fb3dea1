//! Secrets and configs: made once, referred to, and kept while a service refers to them.

use std::collections::BTreeMap;

use anyhow::ensure;
use model::names;
use model::secret::SecretKind;
use orchestrator::swarm::{MountedFile, SecretSpec, Swarm as _, SwarmError};
use secrecy::SecretSlice;

use super::scene::{Scene, hash};
use super::{Image, Stage};
use crate::Outcome;

fn spec<'a, S: Stage>(
    stage: &S,
    kind: SecretKind,
    name: &str,
    value: &'a SecretSlice<u8>,
) -> SecretSpec<'a> {
    let labels =
        [(names::LABEL_PLATFORM, stage.platform()), (names::LABEL_SECRET_VERSION, name.to_owned())];
    SecretSpec {
        kind,
        name: format!("{}-{name}", stage.platform()),
        value,
        labels: labels.map(|(key, value)| (key.to_owned(), value)).into(),
    }
}

/// Of a secret and of a config with one name, each is its own. A name is taken once; another platform's are not listed.
pub async fn a_secret_is_made_once_and_listed<S: Stage>(stage: &S) -> Outcome {
    let swarm = stage.swarm();
    let value: SecretSlice<u8> = b"\0binary\xff".to_vec().into();
    for kind in SecretKind::ALL {
        let wanted = spec(stage, *kind, "one", &value);
        ensure!(swarm.secret(*kind, &wanted.name).await?.is_none());
        let id = swarm.secret_create(&wanted).await?;
        ensure!(swarm.secret(*kind, &wanted.name).await?.as_ref() == Some(&id));
        ensure!(swarm.secret(*kind, &wanted.name[..wanted.name.len() - 1]).await?.is_none());
        let again = swarm.secret_create(&wanted).await;
        ensure!(matches!(again, Err(SwarmError::NameTaken(_))), "{again:?}");
        let mut unlabelled = spec(stage, *kind, "two", &value);
        unlabelled.labels = BTreeMap::from([(names::LABEL_PLATFORM.to_owned(), stage.platform())]);
        let other = swarm.secret_create(&unlabelled).await?;
        let listed = swarm.secrets(*kind, &stage.platform()).await?;
        ensure!(
            listed.len() == 1 && listed[0].id == id && listed[0].name == wanted.name,
            "{listed:?}"
        );
        ensure!(swarm.secrets(*kind, "no-platform").await?.is_empty());
        for id in [&id, &other, &id] {
            swarm.secret_remove(*kind, id).await?;
        }
        ensure!(swarm.secret(*kind, &wanted.name).await?.is_none());
    }
    Ok(())
}

/// A service's spec names what is there, and what it names stays.
pub async fn a_secret_in_use_stays<S: Stage>(stage: &S) -> Outcome {
    let scene = Scene::set(stage).await?;
    let swarm = scene.swarm();
    let value: SecretSlice<u8> = b"value".to_vec().into();
    for kind in SecretKind::ALL {
        let wanted = spec(stage, *kind, "used", &value);
        let id = swarm.secret_create(&wanted).await?;
        let file =
            MountedFile { id, name: wanted.name.clone(), path: "/run/x".into(), mode: 0o444 };
        let mut service = scene.spec(Image::Good, 0);
        let files = match kind {
            SecretKind::Secret => &mut service.task.secrets,
            SecretKind::Config => &mut service.task.configs,
        };
        files.push(MountedFile { id: "none".into(), ..file.clone() });
        service.spec_hash = hash(&service.task);
        let refused = swarm.service_create(&service).await;
        ensure!(matches!(refused, Err(SwarmError::Refused(_))), "{refused:?}");
        let files = match kind {
            SecretKind::Secret => &mut service.task.secrets,
            SecretKind::Config => &mut service.task.configs,
        };
        *files = vec![file.clone()];
        service.spec_hash = hash(&service.task);
        swarm.service_create(&service).await?;
        let refused = swarm.secret_remove(*kind, &file.id).await;
        ensure!(matches!(refused, Err(SwarmError::Refused(_))), "{refused:?}");
        swarm.service_remove(&service.name).await?;
        swarm.secret_remove(*kind, &file.id).await?;
    }
    Ok(())
}
