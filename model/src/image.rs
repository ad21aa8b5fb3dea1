//! Image references, parsed by the same grammar as the registries'.

use oci_spec::distribution::Reference;

/// The rule, as people read it.
pub const IMAGE_RULE: &str = "an image reference with a tag or a digest: [registry/]repository(:tag | @sha256:…), at most 255 characters";

/// Longest reference, in characters.
pub const MAX_IMAGE: usize = 255;

/// An image reference that names a tag or a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageReference {
    text: String,
    reference: Reference,
}

impl ImageReference {
    /// Reads a reference; `None` where it breaks [`IMAGE_RULE`].
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_IMAGE || !text.is_ascii() {
            return None;
        }
        let reference: Reference = text.parse().ok()?;
        // The parser adds `latest` where nothing is said; a release must not guess.
        let stated = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => text.ends_with(digest),
            (None, Some(tag)) => text.ends_with(&format!(":{tag}")),
            (None, None) => false,
        };
        // `A/web` names neither a registry nor a repository: with its registry written out, nothing reads it again.
        let lower_case = !reference.repository().bytes().any(|byte| byte.is_ascii_uppercase());
        (stated && lower_case).then(|| Self { text: text.to_owned(), reference })
    }

    /// The reference as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The digest, where the reference names one.
    pub fn digest(&self) -> Option<&str> {
        self.reference.digest()
    }

    /// Whether both name an image of the same repository of the same registry.
    pub fn is_of_the_repository_of(&self, other: &Self) -> bool {
        let repository = |image: &Self| {
            (image.reference.resolve_registry().to_owned(), image.reference.repository().to_owned())
        };
        repository(self) == repository(other)
    }

    /// This image at `digest` (`sha256:…`), without a tag: `registry/repository@sha256:…`.
    pub fn at_digest(&self, digest: &str) -> String {
        format!("{}/{}@{digest}", self.reference.registry(), self.reference.repository())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
