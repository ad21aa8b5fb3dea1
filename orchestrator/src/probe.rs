//! The platform's health probe in Swarm: one config, distributed to every replica whose health
//! check is HTTP or TCP. Its name holds its hash, so a new probe is a new config and a release
//! keeps the one that it was rendered with until it is deployed again.

use std::collections::BTreeMap;

use model::names;
use sha2::{Digest, Sha256};

use crate::swarm::{ConfigSpec, Swarm, SwarmResult};

/// The program (see `probe/`).
const PROBE: &[u8] = include_bytes!(env!("SKEP_PROBE"));

/// Docker refuses configs of this many bytes and more.
const CONFIG_LIMIT: usize = 1_024_000;
const _: () = assert!(PROBE.len() < CONFIG_LIMIT);

/// The probe as a config of the swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MountedProbe {
    pub(crate) id: String,
    pub(crate) name: String,
}

/// Makes sure that the swarm has the probe.
pub(crate) async fn ensure_probe(swarm: &impl Swarm, platform: &str) -> SwarmResult<MountedProbe> {
    let hash = hex::encode(&Sha256::digest(PROBE)[..6]);
    let name = format!("{platform}-probe-{hash}");
    let labels = BTreeMap::from([(names::LABEL_PLATFORM.to_owned(), platform.to_owned())]);
    let id =
        swarm.config_ensure(&ConfigSpec { name: name.clone(), content: PROBE, labels }).await?;
    Ok(MountedProbe { id, name })
}
