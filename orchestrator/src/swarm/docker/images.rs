//! Images of one node. No part of the `Swarm` that a deployment is driven by: what is on one node is no
//! fact of the swarm.

use bollard::body_full;
use bollard::query_parameters::{
    ImportImageOptionsBuilder, ListImagesOptions, RemoveImageOptionsBuilder,
};
use futures::TryStreamExt as _;
use model::image::ImageReference;

use super::{Host, call, optional};
use crate::swarm::{SwarmError, SwarmResult};

/// What became of an image that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ImageRemoval {
    /// It is removed.
    Removed,
    /// A container was made of it: it stays.
    InUse,
    /// It was not there.
    Gone,
}

impl Host {
    /// The images that were pulled by digest and have no tag, as `registry/repository@sha256:…`.
    pub(crate) async fn images_by_digest(&self) -> SwarmResult<Vec<String>> {
        let images = call(self.docker()?.list_images(None::<ListImagesOptions>)).await?;
        // The engine says `<none>:<none>` of an image that nobody named.
        let tagged = |tags: &[String]| tags.iter().any(|tag| !tag.starts_with("<none>"));
        Ok(images
            .into_iter()
            .filter(|image| !tagged(&image.repo_tags))
            .flat_map(|image| image.repo_digests)
            .filter_map(|digest| {
                let image = ImageReference::parse(&digest)?;
                Some(image.at_digest(image.digest()?))
            })
            .collect())
    }

    /// Loads an image of ours from an archive, where the node has none of this id.
    pub(crate) async fn image_load(&self, id: &str, archive: &[u8]) -> SwarmResult<()> {
        let docker = self.docker()?;
        if optional(call(docker.inspect_image(id)).await)?.is_some() {
            return Ok(());
        }
        let options = ImportImageOptionsBuilder::new().quiet(true).build();
        let body = body_full(archive.to_vec().into());
        let loaded = docker.import_image(options, body, None).try_collect::<Vec<_>>();
        call(loaded).await?;
        Ok(())
    }

    /// Removes an image by its digest, where no container was made of it.
    pub(crate) async fn image_remove(&self, image: &str) -> SwarmResult<ImageRemoval> {
        // Without its parents: those of a pulled image are other images, or none.
        let options = RemoveImageOptionsBuilder::new().force(false).noprune(true).build();
        match call(self.docker()?.remove_image(image, Some(options), None)).await {
            Ok(_) => Ok(ImageRemoval::Removed),
            // A conflict, which is a taken name everywhere else.
            Err(SwarmError::NameTaken(_)) => Ok(ImageRemoval::InUse),
            Err(SwarmError::NotFound(_)) => Ok(ImageRemoval::Gone),
            Err(error) => Err(error),
        }
    }
}
