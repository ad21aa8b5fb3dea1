//! The relay and the consumer: wake-ups reach the broker once it is there, and none is lost.

use std::time::Duration;

use model::envelope::Envelope;
use queue::Consumer;
use serde_json::json;
use tests::answer::text;
use tests::api::Api;
use tests::broker::{Broker, dead_queue, deployments_queue};
use tests::environment::environment;
use tests::{Client, Outcome, run, sql, wait_for, wait_until};
use tokio_util::sync::CancellationToken;

use crate::web;

/// A message takes milliseconds; a lost connection is tried again after seconds.
const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_wake_up_is_published_and_forgotten() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        let deployment = acme.deploy("web", json!({})).await?;
        let broker = Broker::connect().await?;
        let queue = deployments_queue(&skep.queue_prefix());
        let message = wait_for("the wake-up", SOON, async || broker.take(&queue).await).await?;
        let envelope: Envelope = serde_json::from_slice(&message)?;
        assert_eq!(envelope.deployment.to_string(), text(&deployment, "/id")?);
        wait_until("an empty outbox", SOON, async || {
            Ok(sql::count(skep.database.owner(), "outbox").await? == 0)
        })
        .await
    })
}

#[test]
fn what_is_accepted_while_the_broker_is_away_is_delivered_when_it_is_back() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        skep.broker_proxy.cut();
        let deployment = acme.deploy("web", json!({})).await?;
        assert_eq!(sql::count(skep.database.owner(), "outbox").await?, 1);
        skep.broker_proxy.mend();
        let mut consumer = Consumer::start(
            environment().amqp_url.clone().into(),
            &skep.queue_prefix(),
            1,
            CancellationToken::new(),
        );
        let wakeup = tokio::time::timeout(SOON, consumer.next()).await?.unwrap();
        assert_eq!(wakeup.envelope.deployment.to_string(), text(&deployment, "/id")?);
        wakeup.done().await;
        wait_until("an empty outbox", SOON, async || {
            Ok(sql::count(skep.database.owner(), "outbox").await? == 0)
        })
        .await
    })
}

#[test]
fn an_api_that_stops_leaves_nothing_that_it_could_send() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        // The one that accepts never reaches the broker; the one that stops is not told of what was accepted.
        skep.broker_proxy.cut();
        let mut settings = skep.api_settings()?;
        settings.amqp_url = environment().amqp_url.clone().into();
        let leaving = Api::start(settings).await?;
        let client = Client::new(leaving.url(), None)?;
        wait_until("its relay", SOON, async || {
            Ok(client.get("/readyz").await?.body["status"] == "ready")
        })
        .await?;
        acme.deploy("web", json!({})).await?;
        leaving.stop().await?;
        assert_eq!(sql::count(skep.database.owner(), "outbox").await?, 0);
        let queue = deployments_queue(&skep.queue_prefix());
        assert!(Broker::connect().await?.take(&queue).await?.is_some());
        Ok(())
    })
}

#[test]
fn a_crash_between_commit_and_publish_is_covered_by_the_sweep() -> Outcome {
    run(async |skep| {
        // Nobody wakes the relay for a row that another process left.
        let left = "INSERT INTO outbox (deployment_id) VALUES (gen_random_uuid())";
        sql::execute(skep.database.owner(), left).await?;
        wait_until("an empty outbox", SOON, async || {
            Ok(sql::count(skep.database.owner(), "outbox").await? == 0)
        })
        .await
    })
}

#[test]
fn what_nobody_can_read_ends_in_the_dead_letter_queue() -> Outcome {
    run(async |skep| {
        let prefix = skep.queue_prefix();
        let stop = CancellationToken::new();
        let url = environment().amqp_url.clone().into();
        let mut consumer = Consumer::start(url, &prefix, 4, stop.clone());
        let broker = Broker::connect().await?;
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web()).await?;
        let bad: [&[u8]; 3] = [b"\xff\xfe", b"{}", br#"{"version":1,"deployment":"app_x"}"#];
        // The queues are declared with the first wake-up at the latest.
        let deployment = acme.deploy("web", json!({})).await?;
        let wakeup = tokio::time::timeout(SOON, consumer.next()).await?.unwrap();
        wakeup.done().await;
        for message in bad {
            broker.publish(&deployments_queue(&prefix), message).await?;
        }
        wait_until("three dead letters", SOON, async || {
            Ok(broker.depth(&dead_queue(&prefix)).await? == 3)
        })
        .await?;
        // And the queue goes on.
        let good = serde_json::to_vec(&Envelope::new(text(&deployment, "/id")?.parse()?))?;
        broker.publish(&deployments_queue(&prefix), &good).await?;
        let wakeup = tokio::time::timeout(SOON, consumer.next()).await?.unwrap();
        assert_eq!(wakeup.envelope.deployment.to_string(), text(&deployment, "/id")?);
        wakeup.done().await;
        stop.cancel();
        Ok(())
    })
}

#[test]
fn a_message_of_a_newer_version_is_left_for_a_newer_worker() -> Outcome {
    run(async |skep| {
        let prefix = skep.queue_prefix();
        let stop = CancellationToken::new();
        let mut consumer =
            Consumer::start(environment().amqp_url.clone().into(), &prefix, 1, stop.clone());
        let broker = Broker::connect().await?;
        let queue = deployments_queue(&prefix);
        wait_until("the queue", SOON, async || {
            Ok(skep.operator.get("/readyz").await?.body["status"] == "ready")
        })
        .await?;
        broker.publish(&queue, br#"{"version":2,"something":"else"}"#).await?;
        // It is put back a second later, and never handed to us.
        let none = tokio::time::timeout(Duration::from_millis(1500), consumer.next()).await;
        assert!(none.is_err(), "it was taken for a wake-up");
        stop.cancel();
        let message = wait_for("the message", SOON, async || broker.take(&queue).await).await?;
        assert!(String::from_utf8(message)?.contains("something"));
        assert_eq!(broker.depth(&dead_queue(&prefix)).await?, 0);
        Ok(())
    })
}
