//! Which image a release runs: the reference is resolved to a digest once, so that a tag which
//! moves later moves nothing of ours.

use model::image::ImageReference;
use model::reason::{Reason, ReasonCode};

use crate::swarm::{ImageLookup, LocalImage, Swarm, SwarmResult};

/// What became of a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resolution {
    /// `repository@sha256:…`, or a local image's id.
    Resolved(String),
    /// There is no such image for this tenant: trying again does not help.
    Refused(Reason),
    /// The registry did not answer: try again until the pull deadline.
    Unanswered(String),
}

/// Asks the registry. Where the platform allows local images, one that no registry knows is taken
/// from the daemon, by its id.
pub(crate) async fn resolve_image(
    swarm: &impl Swarm,
    reference: &str,
    local_images: bool,
) -> SwarmResult<Resolution> {
    let Some(image) = ImageReference::parse(reference) else {
        return Ok(Resolution::Refused(Reason::new(
            ReasonCode::ImageNotFound,
            format!("{reference} is not an image reference with a tag or a digest"),
        )));
    };
    if local_images
        && let Some(local) = swarm.image_on_node(image.as_str()).await?
        && !known_to_registry(&image, &local)
    {
        return Ok(Resolution::Resolved(local.id));
    }
    Ok(match swarm.image_in_registry(image.as_str()).await? {
        ImageLookup::Digest(digest) => Resolution::Resolved(image.at_digest(&digest)),
        ImageLookup::NotFound => Resolution::Refused(Reason::new(
            ReasonCode::ImageNotFound,
            format!("the registry has no image {reference}: check its name and tag, or push it"),
        )),
        ImageLookup::Forbidden => Resolution::Refused(Reason::new(
            ReasonCode::ImageForbidden,
            format!(
                "the registry does not hand out {reference}: it does not exist there, or needs \
                 credentials"
            ),
        )),
        ImageLookup::Unavailable(answer) => Resolution::Unanswered(answer),
    })
}

/// Whether the image came from the repository that the reference names, or went to it. (The same
/// image may have been pushed to another one.)
fn known_to_registry(image: &ImageReference, local: &LocalImage) -> bool {
    let same = |known: &String| {
        ImageReference::parse(known).is_some_and(|known| known.repository() == image.repository())
    };
    local.repo_digests.iter().any(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_pushed_elsewhere_is_still_local() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let local = |name: &str| LocalImage {
            id: digest.clone(),
            repo_digests: vec![format!("{name}@{digest}")],
        };
        let image = ImageReference::parse("web:v1").unwrap();
        assert!(known_to_registry(&image, &local("web")));
        assert!(!known_to_registry(&image, &local("127.0.0.1:5000/web")));
    }
}
