//! TCP health checks, in an image that holds nothing to check with: the probe is ours.

use serde_json::{Value, json};
use tests::answer::text;
use tests::{Outcome, run};

use crate::specs::web;

fn check(port: u16) -> Value {
    json!({ "tcp": { "port": port }, "interval": 1, "timeout": 2, "retries": 2 })
}

#[test]
fn a_port_that_takes_connections_is_healthy_and_one_that_refuses_them_is_not() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        let mut spec = web("v1");
        spec["health_check"] = check(8080);
        acme.create_app("web", spec).await?;
        acme.deploy_live("web", json!({})).await?;

        // Nothing in the container listens there.
        acme.patch_app("web", json!({ "health_check": check(8099) })).await?;
        let bad = acme.deploy("web", json!({})).await?;
        let ended = acme.wait_for(&bad, "rolled_back", "unhealthy").await?;
        let sentence = text(&ended, "/reason/sentence")?;
        assert!(sentence.contains("8099") && sentence.contains("refused"), "{sentence}");
        assert_eq!(acme.app("web").await?["live"], json!({ "release": 1, "replicas": 1 }));
        Ok(())
    })
}
