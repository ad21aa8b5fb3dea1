//! What crosses between the nodes, as a capture on the first one's link shows it.

use std::fmt;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tests::Tenant;
use tests::answer::text;
use tests::rig::Rig;

use crate::specs::{image, web};

/// What the app sends in each of its answers.
pub(crate) const MARKER: &str = "SKEP-MARKER-d41d8cd9";
/// How long is captured: some dozens of requests.
const SECONDS: u32 = 10;

/// Packets between the nodes, and how often the marker was in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crossing {
    /// Encrypted (ESP).
    pub(crate) encrypted: u32,
    /// VXLAN that anybody on the way can read.
    pub(crate) clear: u32,
    /// Of the capture's lines, those with the marker in them.
    pub(crate) marked: u32,
}

impl fmt::Display for Crossing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { encrypted, clear, marked } = self;
        write!(
            f,
            "{encrypted} ESP packets, {clear} VXLAN packets in clear, the marker {marked} times"
        )
    }
}

/// Captures for some seconds.
pub(crate) async fn crossing(rig: &Rig) -> Result<Crossing> {
    let command = format!(
        "mkdir -p /tmp; cd /tmp; timeout {SECONDS} tcpdump -Z root -U -i eth0 -w capture 'esp or udp port 4789' 2>/dev/null || true
         count() {{ tcpdump -Z root -r capture \"$1\" 2>/dev/null | wc -l; }}
         echo \"$(count esp) $(count 'udp port 4789') $(grep -a -c {MARKER} capture || true)\""
    );
    let printed = rig.node(1).engine.shell(&image("v1"), &command).await?;
    let mut numbers = printed.split_whitespace().map(str::parse::<u32>);
    let mut next = || numbers.next().context("a number is missing")?.context(printed.clone());
    Ok(Crossing { encrypted: next()?, clear: next()?, marked: next()? })
}

/// An app with a replica on each node, whose answers carry the marker, and a visitor that asks it again and again through its name.
/// Ids of both.
pub(crate) async fn app_and_visitor(rig: &Rig, tenant: &Tenant) -> Result<(String, String)> {
    let mut spec = on_slow_nodes(web("v1"));
    spec["replicas"] = 2.into();
    spec["env"] = json!({ "APP_VERSION": MARKER, "APP_DRAIN_SECONDS": "10" });
    let app = tenant.create_app("web", spec).await?;
    tenant.deploy_live("web", json!({})).await?;
    let app = text(&app, "/id")?.to_owned();
    anyhow::ensure!(rig.places(&app).await? == [1, 2], "one on each node");
    let mut spec = on_slow_nodes(web("v1"));
    spec["args"] = json!(["visit", "--url", "http://web:8080/", "--rate", "10"]);
    let visitor = tenant.create_app("visitor", spec).await?;
    tenant.deploy_live("visitor", json!({})).await?;
    Ok((app, text(&visitor, "/id")?.to_owned()))
}

/// A processor that is only imitated takes its time to run a check.
fn on_slow_nodes(mut spec: Value) -> Value {
    spec["health_check"] =
        json!({ "http": { "path": "/health" }, "interval": 3, "timeout": 20, "retries": 5 });
    spec
}
