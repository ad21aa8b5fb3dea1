//! The broker goes away between accept and pick-up: what was accepted is done all the same.

use std::path::Path;
use std::time::Duration;

use anyhow::ensure;
use serde_json::json;
use tests::broker::{Broker, deployments_queue};
use tests::environment::is_set;
use tests::{Outcome, run, sql, wait_until};
use tokio::process::Command;

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

#[test]
fn what_was_accepted_outlives_a_restart_of_the_broker() -> Outcome {
    run(async |skep| {
        ensure!(
            !is_set("SKEP_DEV_AMQP_URL"),
            "this test restarts RabbitMQ, and the one of SKEP_DEV_AMQP_URL is not ours to restart: \
             run it without that variable"
        );
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web("v1")).await?;
        let deployment = acme.deploy("web", json!({})).await?;
        // Confirmed: from here on only the broker knows that there is something to do.
        let soon = Duration::from_secs(30);
        wait_until("an empty outbox", soon, async || {
            Ok(sql::count(skep.database.owner(), "outbox").await? == 0)
        })
        .await?;
        restart_broker().await?;
        let queue = deployments_queue(&skep.queue_prefix());
        wait_until("the message in the queue", soon, async || {
            // A queue without a leader yet is an error, and so is a passive declaration of it.
            let depth = async { Broker::connect().await?.depth(&queue).await }.await;
            Ok(depth.is_ok_and(|depth| depth == 1))
        })
        .await?;
        skep.start_worker().await?;
        acme.wait_for(&deployment, "succeeded", "live").await?;
        Ok(())
    })
}

/// Ends and starts RabbitMQ for all tests of this checkout: they have to bear it, as tenants have to.
async fn restart_broker() -> Outcome {
    let dev = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dev");
    let done = Command::new(&dev).args(["restart", "rabbitmq"]).output().await?;
    ensure!(
        done.status.success(),
        "{} restart rabbitmq: {}{}",
        dev.display(),
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(())
}
