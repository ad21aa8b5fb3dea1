//! The broker goes away between accept and pick-up: what was accepted is done all the same.

use serde_json::json;
use tests::{Outcome, run, sql};

use crate::specs::web;

#[test]
fn what_was_accepted_while_it_was_away_is_done() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web("v1")).await?;
        skep.broker_proxy.cut();
        let deployment = acme.deploy("web", json!({})).await?;
        assert_eq!(sql::count(skep.database.owner(), "outbox").await?, 1);
        // A worker that never reaches the broker finds it by its sweep.
        skep.start_worker().await?;
        acme.wait_for_status(&deployment, &["provisioning", "updating", "verifying"]).await?;
        skep.broker_proxy.mend();
        acme.wait_for(&deployment, "succeeded", "live").await?;
        Ok(())
    })
}
