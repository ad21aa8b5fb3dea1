//! The isolation probe's image: the program and nothing else, as an archive that a daemon loads. Always the same bytes, so that
//! it has the same id on every node, and Swarm runs it by that.

use serde_json::json;
use sha2::{Digest as _, Sha256};
use tar::{Builder, Header};

/// The program, static.
const PROGRAM: &[u8] = include_bytes!(env!("SKEP_ISOLATION_PROBE"));
/// Where it is in the image.
pub(super) const PATH: &str = "/isolation-probe";
/// What the image is called on a node, for people.
const NAME: &str = "skep-isolation-probe";

/// An image to load.
pub(crate) struct Image {
    /// Its id: `sha256:…` of its configuration.
    pub(crate) id: String,
    /// The archive (Docker's image specification, version 1.2).
    pub(crate) archive: Vec<u8>,
}

/// Makes the image.
pub(crate) fn image() -> std::io::Result<Image> {
    let layer = archive(&[(PATH.trim_start_matches('/'), 0o555, PROGRAM)])?;
    let configuration = json!({
        "architecture": architecture(),
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": { "Entrypoint": [PATH], "User": "65532:65532" },
        "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
        "history": [{ "created": "1970-01-01T00:00:00Z", "created_by": "skep" }],
    })
    .to_string();
    let id = digest(configuration.as_bytes());
    let name = id.trim_start_matches("sha256:");
    let tag = name.get(..12).unwrap_or(name);
    let file = format!("{name}.json");
    let manifest =
        json!([{ "Config": file, "RepoTags": [format!("{NAME}:{tag}")], "Layers": ["layer.tar"] }]);
    let archive = archive(&[
        ("manifest.json", 0o444, manifest.to_string().as_bytes()),
        (&file, 0o444, configuration.as_bytes()),
        ("layer.tar", 0o444, &layer),
    ])?;
    Ok(Image { id, archive })
}

/// In Docker's word.
const fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Files of nobody in particular, made at no time in particular.
fn archive(files: &[(&str, u32, &[u8])]) -> std::io::Result<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    for (path, mode, bytes) in files {
        let mut header = Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(*mode);
        builder.append_data(&mut header, path, *bytes)?;
    }
    builder.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_program_is_the_same_image() {
        let (one, other) = (image().unwrap(), image().unwrap());
        assert_eq!(one.id, other.id);
        assert_eq!(one.archive, other.archive);
        assert!(one.id.starts_with("sha256:") && one.id.len() == 71, "{}", one.id);
    }
}
