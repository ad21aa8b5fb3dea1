//! Which image a release runs: the reference is resolved to a digest once, so that a tag which
//! moves later moves nothing of ours.

use model::image::ImageReference;
use model::reason::{Reason, ReasonCode};

use crate::swarm::{ImageLookup, RegistryLogin, Swarm, SwarmResult};

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
    login: Option<&RegistryLogin>,
) -> SwarmResult<Resolution> {
    let Some(image) = ImageReference::parse(reference) else {
        return Ok(Resolution::Refused(Reason::new(
            ReasonCode::ImageNotFound,
            format!("{reference} is not an image reference with a tag or a digest"),
        )));
    };
    if local_images
        && let Some(local) = swarm.image_on_node(image.as_str()).await?
        && !local.in_registry
    {
        return Ok(Resolution::Resolved(local.id));
    }
    Ok(match swarm.image_in_registry(image.as_str(), login).await? {
        ImageLookup::Digest(digest) => Resolution::Resolved(image.at_digest(&digest)),
        ImageLookup::NotFound => Resolution::Refused(Reason::new(
            ReasonCode::ImageNotFound,
            format!("the registry has no image {reference}: check its name and tag, or push it"),
        )),
        ImageLookup::Forbidden => Resolution::Refused(Reason::new(
            ReasonCode::ImageForbidden,
            match login {
                None => format!(
                    "the registry does not hand out {reference}: it does not exist there, or needs \
                     credentials, and the organization has none for {}",
                    image.registry()
                ),
                Some(login) => format!(
                    "the registry does not hand out {reference} to the organization's credential for \
                     {} ({}): it does not exist there, or may not be read with it",
                    image.registry(),
                    login.username.as_deref().unwrap_or("a token"),
                ),
            },
        )),
        ImageLookup::Unavailable(answer) => Resolution::Unanswered(answer),
    })
}
