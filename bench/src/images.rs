//! The images that are deployed: the sample app's v1 and v2, out of the development registry where
//! there is one, so that digests are asked for as in production; or else the node's own.

use anyhow::{Context as _, Result};
use bollard::Docker;
use bollard::query_parameters::{
    PushImageOptionsBuilder, RemoveImageOptionsBuilder, TagImageOptionsBuilder,
};
use futures::TryStreamExt as _;

/// What `tests/fixtures/image.sh` makes.
const FIXTURE: &str = "skep-demo";

/// References of both versions.
#[derive(Debug, Clone)]
pub(crate) struct Images {
    pub(crate) v1: String,
    pub(crate) v2: String,
    /// Whether they stand in a registry.
    pub(crate) pushed: bool,
}

impl Images {
    /// Pushes them where there is a registry.
    pub(crate) async fn ensure(docker: &Docker, registry: Option<&str>) -> Result<Self> {
        let repository = match registry {
            Some(registry) => format!("{registry}/bench/{FIXTURE}"),
            None => FIXTURE.to_owned(),
        };
        for tag in ["v1", "v2"] {
            if registry.is_some() {
                push(docker, &repository, tag).await?;
            }
        }
        Ok(Self {
            v1: format!("{repository}:v1"),
            v2: format!("{repository}:v2"),
            pushed: registry.is_some(),
        })
    }

    /// Takes their names away from the node again. The registry keeps its copy: it costs nothing.
    pub(crate) async fn forget(&self, docker: &Docker) {
        if !self.pushed {
            return;
        }
        for image in [&self.v1, &self.v2] {
            let options = RemoveImageOptionsBuilder::new().build();
            // A container that is about to go may hold it: then the name stays, and does no harm.
            _ = docker.remove_image(image, Some(options), None).await;
        }
    }
}

async fn push(docker: &Docker, repository: &str, tag: &str) -> Result<()> {
    let named = TagImageOptionsBuilder::new().repo(repository).tag(tag).build();
    docker
        .tag_image(&format!("{FIXTURE}:{tag}"), Some(named))
        .await
        .with_context(|| format!("{FIXTURE}:{tag} is not there: start me as ./dev bench"))?;
    let options = PushImageOptionsBuilder::new().tag(tag).build();
    let pushing = docker.push_image(repository, Some(options), None);
    pushing
        .try_collect::<Vec<_>>()
        .await
        .with_context(|| format!("{repository}:{tag} could not be pushed"))?;
    Ok(())
}
