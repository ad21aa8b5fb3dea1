//! RabbitMQ goes away, comes back, forgets: what was accepted is done all the same.

use std::time::{Duration, Instant};

use serde_json::json;
use tests::broker::{Broker, deployments_queue};
use tests::specs::{image, slow_web, web};
use tests::{Outcome, Skep, sql, wait_until};

use crate::services::Service;
use crate::turns::{run_alone, run_beside};
use crate::{ended_once, tell};

const SOON: Duration = Duration::from_secs(30);

/// Waits until every wake-up is confirmed: from then on only the broker knows of them.
async fn published(skep: &Skep) -> Outcome {
    wait_until("an empty outbox", SOON, async || {
        Ok(sql::count(skep.database.owner(), "outbox").await? == 0)
    })
    .await
}

/// Waits until so many messages are in the queue.
async fn queued(skep: &Skep, messages: u32) -> Outcome {
    let queue = deployments_queue(&skep.queue_prefix());
    wait_until("the messages in the queue", SOON, async || {
        // A queue without a leader yet is an error, and so is a passive declaration of it.
        let depth = async { Broker::connect().await?.depth(&queue).await }.await;
        Ok(depth.is_ok_and(|depth| depth == messages))
    })
    .await
}

#[test]
fn away_what_is_accepted_is_found_by_the_sweep() -> Outcome {
    run_beside(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web("v1")).await?;
        skep.broker_proxy.cut();
        let deployment = acme.deploy("web", json!({})).await?;
        assert_eq!(sql::count(skep.database.owner(), "outbox").await?, 1);
        // A worker that never reaches the broker finds it by its sweep.
        skep.start_worker().await?;
        acme.wait_for_status(&deployment, &["provisioning", "updating", "verifying"]).await?;
        skep.broker_proxy.mend();
        ended_once(&acme.wait_for(&deployment, "succeeded", "live").await?)
    })
}

#[test]
fn purged_what_was_accepted_is_found_by_the_sweep() -> Outcome {
    run_beside(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web("v1")).await?;
        let deployment = acme.deploy("web", json!({})).await?;
        published(skep).await?;
        let broker = Broker::connect().await?;
        assert_eq!(broker.purge(&deployments_queue(&skep.queue_prefix())).await?, 1);
        skep.start_worker().await?;
        ended_once(&acme.wait_for(&deployment, "succeeded", "live").await?)
    })
}

#[test]
fn restarted_before_the_pick_up_it_has_kept_the_message() -> Outcome {
    run_alone(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web("v1")).await?;
        let deployment = acme.deploy("web", json!({})).await?;
        published(skep).await?;
        Service::RabbitMq.restart().await?;
        queued(skep, 1).await?;
        skep.start_worker().await?;
        ended_once(&acme.wait_for(&deployment, "succeeded", "live").await?)
    })
}

#[test]
fn stopped_in_a_rollout_neither_that_nor_what_is_accepted_meanwhile_suffers() -> Outcome {
    run_alone(async |skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", slow_web("v1")).await?;
        acme.create_app("other", web("v1")).await?;
        acme.deploy_live("web", json!({})).await?;
        let update = acme.deploy("web", json!({ "image": image("v2") })).await?;
        acme.wait_for_status(&update, &["updating"]).await?;
        let begun = Instant::now();
        let accepted = async {
            let becomes = async |broker: &str| {
                wait_until(broker, SOON, async || {
                    let report = skep.operator.get("/readyz").await?.expect(200)?;
                    Ok(report["parts"]["broker"] == broker)
                })
                .await
            };
            becomes("down").await?;
            let accepted = acme.deploy("other", json!({})).await?;
            becomes("up").await?;
            anyhow::Ok(accepted)
        };
        let (away, other) =
            futures::future::try_join(Service::RabbitMq.restart(), accepted).await?;
        ended_once(&acme.wait_for(&update, "succeeded", "live").await?)?;
        ended_once(&acme.wait_for(&other, "succeeded", "live").await?)?;
        tell(&format!(
            "RabbitMQ away for {away:?} in a rollout: both live after {:?}",
            begun.elapsed()
        ));
        published(skep).await?;
        assert!(skep.workers().await[0].runs(), "the worker bore it");
        Ok(())
    })
}
