//! Image references, by the grammar of the registries (distribution/reference, `regexp.go` and `normalize.go`).
//!
//! Read by hand: the crate for it, `oci-spec`, does so by a regular expression that takes 14 MB of memory
//! to match. It is the tests' oracle.

/// The rule, as people read it.
pub const IMAGE_RULE: &str = "an image reference with a tag or a digest: [registry/]repository(:tag | @sha256:…), at most 255 characters";

/// Longest reference, in characters.
pub const MAX_IMAGE: usize = 255;

/// Longest tag, in characters.
const MAX_TAG: usize = 128;

/// Where images are that name no registry.
const DOCKER_HUB: &str = "docker.io";
/// An older name of it.
const DOCKER_HUB_INDEX: &str = "index.docker.io";

/// An image reference that names a tag or a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageReference {
    text: String,
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl ImageReference {
    /// Reads a reference; `None` where it breaks [`IMAGE_RULE`].
    pub fn parse(text: &str) -> Option<Self> {
        let (named, digest) = match text.split_once('@') {
            Some((named, digest)) => (named, Some(digest)),
            None => (text, None),
        };
        // A colon before a slash is of a registry's port.
        let (name, tag) = match named.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (named, None),
        };
        let (registry, path) = match name.split_once('/') {
            Some((host, path)) if names_a_registry(host) => (host, path),
            _ => (DOCKER_HUB, name),
        };
        let is_valid = text.len() <= MAX_IMAGE
            && is_registry(registry)
            && path.split('/').all(is_component)
            && tag.is_none_or(is_tag)
            && digest.is_none_or(is_digest)
            // Where nothing is said, Docker adds `latest`; a release must not guess.
            && (tag.is_some() || digest.is_some());
        let registry = if registry == DOCKER_HUB_INDEX { DOCKER_HUB } else { registry };
        let is_official = registry == DOCKER_HUB && !path.contains('/');
        is_valid.then(|| Self {
            text: text.to_owned(),
            registry: registry.to_owned(),
            repository: if is_official { format!("library/{path}") } else { path.to_owned() },
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }

    /// The reference as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The digest, where the reference names one.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// The registry that it is in: a host, with a port where it has one.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Whether both name an image of the same repository of the same registry.
    pub fn is_of_the_repository_of(&self, other: &Self) -> bool {
        (&self.registry, &self.repository) == (&other.registry, &other.repository)
    }

    /// Whether `name`, which a node gave an image (`repository:tag`), is what this reference says. A node finds images by more than
    /// their names: `sha256:…` is a name and a tag here, and the id of anybody's image there.
    pub fn is_named(&self, name: &str) -> bool {
        Self::parse(name).is_some_and(|named| {
            self.digest.is_none() && self.is_of_the_repository_of(&named) && self.tag == named.tag
        })
    }

    /// This image at `digest` (`sha256:…`), without a tag: `registry/repository@sha256:…`.
    pub fn at_digest(&self, digest: &str) -> String {
        format!("{}/{}@{digest}", self.registry, self.repository)
    }
}

/// Whether what stands before the first slash is a registry, and not the first part of a path.
fn names_a_registry(host: &str) -> bool {
    host.contains(['.', ':']) || host == "localhost"
}

/// `host` or `host:port`.
pub(crate) fn is_registry(text: &str) -> bool {
    let (host, port) = text.split_once(':').unwrap_or((text, "0"));
    let is_label = |label: &str| {
        let is_within = |c: char| c.is_ascii_alphanumeric() || c == '-';
        !label.is_empty()
            && label.chars().all(is_within)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.split('.').all(is_label) && !port.is_empty() && port.chars().all(|c| c.is_ascii_digit())
}

/// One part of a path: lower case, with single separators within (`.`, `_`, `__`, or a run of `-`).
fn is_component(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_separator = |between: &str| {
        matches!(between, "" | "." | "_" | "__") || between.chars().all(|c| c == '-')
    };
    text.starts_with(is_plain) && text.ends_with(is_plain) && text.split(is_plain).all(is_separator)
}

fn is_tag(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= MAX_TAG
        && text.starts_with(is_word)
        && text.chars().all(|c| is_word(c) || matches!(c, '.' | '-'))
}

/// The one algorithm that Docker's registries use, and its hash in hex.
fn is_digest(text: &str) -> bool {
    let is_hex = |c: char| matches!(c, '0'..='9' | 'a'..='f');
    text.strip_prefix("sha256:").is_some_and(|hash| hash.len() == 64 && hash.chars().all(is_hex))
}

#[cfg(test)]
mod tests {
    use oci_spec::distribution::Reference;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_is_no_name() {
        let id = format!("sha256:{}", "a".repeat(64));
        let read = ImageReference::parse(&id).unwrap();
        assert!(!read.is_named("127.0.0.1:5000/acme/private:v1") && read.is_named(&id));
        let local = ImageReference::parse("skep-demo:v1").unwrap();
        assert!(local.is_named("skep-demo:v1") && local.is_named("docker.io/library/skep-demo:v1"));
        assert!(!local.is_named("skep-demo:v2") && !local.is_named("other/skep-demo:v1"));
    }

    #[test]
    fn a_repository_is_the_same_however_it_is_written() {
        let image = |text: &str| ImageReference::parse(text).unwrap();
        let digest = format!("sha256:{}", "a".repeat(64));
        let web = image("web:v1");
        for same in [format!("web@{digest}"), "docker.io/library/web:v2".into()] {
            assert!(image(&same).is_of_the_repository_of(&web), "{same}");
        }
        for other in [format!("127.0.0.1:5000/web@{digest}"), "team/web:v1".into()] {
            assert!(!image(&other).is_of_the_repository_of(&web), "{other}");
        }
    }

    proptest! {
        /// What is read is what the reference implementation reads, with a tag or a digest said.
        #[test]
        fn agrees_with_the_registries_own_grammar(
            text in prop_oneof![
                "[a-zA-Z0-9._:/@-]{0,24}",
                "(([a-zA-Z0-9.-]{1,8}(:[0-9]{0,5})?|localhost|index\\.docker\\.io)/)?[a-z0-9._/-]{1,16}(:[a-zA-Z0-9_.-]{0,8})?(@sha256:[0-9a-f]{64})?",
            ]
        ) {
            // It takes hosts that are none: `a_b.c/web:v1`, and `A/web:v1`, which Docker takes and nobody means.
            let host = text.split_once('/').map_or("", |(host, _)| host);
            prop_assume!(!host.contains(|c: char| c == '_' || c.is_ascii_uppercase()));
            let ours = ImageReference::parse(&text);
            let theirs: Option<Reference> = text.parse().ok();
            // It takes what Docker would add for what was said.
            let theirs = theirs.filter(|found| match (found.digest(), found.tag()) {
                (Some(digest), _) => text.ends_with(digest),
                (None, Some(tag)) => text.ends_with(&format!(":{tag}")),
                (None, None) => false,
            });
            prop_assert_eq!(ours.is_some(), theirs.is_some(), "{}: {:?}", text, theirs);
            if let (Some(ours), Some(theirs)) = (ours, theirs) {
                let registry = theirs.registry().replace(DOCKER_HUB_INDEX, DOCKER_HUB);
                prop_assert_eq!((&*ours.registry, &*ours.repository), (&*registry, theirs.repository()));
                prop_assert_eq!(ours.digest(), theirs.digest());
            }
        }
    }

    #[test]
    fn a_tag_or_a_digest_is_needed() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for good in ["nginx:1.27", "127.0.0.1:5000/team/web:v1", &format!("web@{digest}")] {
            assert!(ImageReference::parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "nginx",
            "localhost:5000/web",
            "NGINX:1",
            "Team/web:1",
            "web:",
            "web:v1 ",
            "we b:v1",
            "../x:1",
        ] {
            assert!(ImageReference::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_digest_replaces_the_tag() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let at = |text| ImageReference::parse(text).map(|image| image.at_digest(&digest));
        assert_eq!(at("127.0.0.1:5000/web:v1"), Some(format!("127.0.0.1:5000/web@{digest}")));
        assert_eq!(at("nginx:1.27"), Some(format!("docker.io/library/nginx@{digest}")));
    }
}
