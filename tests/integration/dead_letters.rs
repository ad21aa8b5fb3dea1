//! Dead letters: shown, put back, thrown away; by operators, on the real broker.

use std::time::Duration;

use chrono::{DateTime, Utc};
use queue::Consumer;
use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::broker::{Broker, dead_queue, deployments_queue};
use tests::environment::environment;
use tests::{Outcome, Skep, run, sql, wait_until};
use tokio_util::sync::CancellationToken;

const PATH: &str = "/v1/admin/dead-letters";

/// A message takes milliseconds; a lost connection is tried again after seconds.
const SOON: Duration = Duration::from_secs(20);

async fn ready(skep: &Skep) -> Outcome {
    wait_until("the queues", SOON, async || {
        Ok(skep.operator.get("/readyz").await?.body["status"] == "ready")
    })
    .await
}

async fn dead_are(skep: &Skep, broker: &Broker, count: u32) -> Outcome {
    let queue = dead_queue(&skep.queue_prefix());
    wait_until(&format!("{count} dead letters"), SOON, async || {
        Ok(broker.depth(&queue).await? == count)
    })
    .await
}

#[test]
fn are_shown_with_their_cause_and_stay_where_they_are() -> Outcome {
    run(async |skep| {
        ready(skep).await?;
        let (broker, stop) = (Broker::connect().await?, CancellationToken::new());
        let prefix = skep.queue_prefix();
        let url = environment().amqp_url.clone().into();
        let _consumer = Consumer::start(url, &prefix, 1, stop.clone());
        for message in ["{}", "not JSON"] {
            broker.publish(&deployments_queue(&prefix), message.as_bytes()).await?;
        }
        dead_are(skep, &broker, 2).await?;
        stop.cancel();
        let found = skep.operator.get(PATH).await?.expect(200)?;
        assert_eq!(found["count"], 2);
        let items = list(&found, "/items")?;
        assert_eq!((&items[0]["position"], &items[0]["payload"]), (&1.into(), &"{}".into()));
        assert!(text(&items[0], "/error")?.contains("missing field"), "{found}");
        assert_eq!((&items[1]["position"], &items[1]["truncated"]), (&2.into(), &false.into()));
        let since: DateTime<Utc> = text(&items[1], "/since")?.parse()?;
        let age = Utc::now() - since;
        assert!(age.num_seconds().abs() < 60, "{age}");
        // Looking changes nothing, however often: RabbitMQ drops what was put back 20 times by default.
        for _ in 0..25 {
            assert_eq!(skep.operator.get(PATH).await?.expect(200)?["items"], found["items"]);
        }
        let one = skep.operator.get(&format!("{PATH}?limit=1")).await?.expect(200)?;
        assert_eq!((&one["count"], list(&one, "/items")?.len()), (&2.into(), 1));
        // What is no text, and long.
        let bytes = vec![0xff; 5_000];
        broker.publish(&dead_queue(&prefix), &bytes).await?;
        let found = skep.operator.get(PATH).await?.expect(200)?;
        let third = &list(&found, "/items")?[2];
        assert!(third["error"].is_null() && third["since"].is_null(), "{third}");
        assert_eq!(third["truncated"], true);
        assert_eq!(text(third, "/payload")?.chars().count(), 2_048);
        Ok(())
    })
}

#[test]
fn are_put_back_for_the_workers_or_thrown_away() -> Outcome {
    run(async |skep| {
        ready(skep).await?;
        let broker = Broker::connect().await?;
        let (dead, wakeups) =
            (dead_queue(&skep.queue_prefix()), deployments_queue(&skep.queue_prefix()));
        for number in 0..5 {
            broker.publish(&dead, format!("letter {number}").as_bytes()).await?;
        }
        dead_are(skep, &broker, 5).await?;
        let replay = format!("{PATH}/replay");
        let body = json!({ "count": 2 });
        let put = skep.operator.post_once(&replay, &body, "key").await?.expect(200)?;
        assert_eq!(put, json!({ "count": 2 }));
        for number in 0..2 {
            let message = broker.take(&wakeups).await?;
            assert_eq!(message, Some(format!("letter {number}").into_bytes()));
        }
        dead_are(skep, &broker, 3).await?;
        // Asked again, nothing moves.
        let again = skep.operator.post_once(&replay, &body, "key").await?;
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!(again.expect(200)?, put);
        assert_eq!(broker.take(&wakeups).await?, None);

        let thrown = skep.operator.delete_once(&format!("{PATH}?count=1"), "key").await?;
        assert_eq!(thrown.expect(200)?, json!({ "count": 1 }));
        let again = skep.operator.delete_once(&format!("{PATH}?count=1"), "key").await?;
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        let other = skep.operator.delete_once(&format!("{PATH}?count=2"), "key").await?;
        other.problem(422, "idempotency_key_reused")?;
        dead_are(skep, &broker, 2).await?;
        let left = skep.operator.get(PATH).await?.expect(200)?;
        assert_eq!(left["items"][0]["payload"], "letter 3");
        // More than there are.
        let rest = skep.operator.delete(&format!("{PATH}?count=500")).await?.expect(200)?;
        assert_eq!(rest["count"], 2);
        let none = skep.operator.post(&replay, &json!({ "count": 500 })).await?.expect(200)?;
        assert_eq!(none["count"], 0);
        dead_are(skep, &broker, 0).await?;

        let select =
            "SELECT action, after FROM audit_log WHERE object = 'dead_letters' ORDER BY id";
        let told: Vec<Value> = sql::rows(skep.database.owner(), select).await?;
        let line =
            |action: &str, count: u32| json!({ "action": action, "after": { "count": count } });
        assert_eq!(
            told,
            [
                line("dead_letters.replay", 2),
                line("dead_letters.discard", 1),
                line("dead_letters.discard", 2),
                line("dead_letters.replay", 0),
            ]
        );
        Ok(())
    })
}

#[test]
fn bad_counts_are_told_and_touch_nothing() -> Outcome {
    run(async |skep| {
        ready(skep).await?;
        let broker = Broker::connect().await?;
        broker.publish(&dead_queue(&skep.queue_prefix()), b"letter").await?;
        dead_are(skep, &broker, 1).await?;
        for query in ["", "?count=0", "?count=501", "?count=all", "?limit=1"] {
            let answer = skep.operator.delete(&format!("{PATH}{query}")).await?;
            answer.problem(400, "invalid")?;
        }
        for body in
            [json!({}), json!({ "count": 0 }), json!({ "count": 501 }), json!({ "all": true })]
        {
            let answer = skep.operator.post(&format!("{PATH}/replay"), &body).await?;
            answer.problem(400, "invalid")?;
        }
        assert_eq!(broker.depth(&dead_queue(&skep.queue_prefix())).await?, 1);
        Ok(())
    })
}

#[test]
fn a_broker_that_is_away_is_a_problem_and_no_silence() -> Outcome {
    run(async |skep| {
        ready(skep).await?;
        skep.broker_proxy.cut();
        let before = sql::count(skep.database.owner(), "audit_log").await?;
        skep.operator.get(PATH).await?.problem(503, "unavailable")?;
        let replay = format!("{PATH}/replay");
        let body = json!({ "count": 1 });
        skep.operator.post_once(&replay, &body, "key").await?.problem(503, "unavailable")?;
        skep.operator.delete(&format!("{PATH}?count=1")).await?.problem(503, "unavailable")?;
        assert_eq!(sql::count(skep.database.owner(), "audit_log").await?, before);
        // The key is free: the same request does it once the broker is back.
        skep.broker_proxy.mend();
        let put = skep.operator.post_once(&replay, &body, "key").await?;
        assert_eq!(put.header("idempotency-replayed"), None);
        assert_eq!(put.expect(200)?["count"], 0);
        Ok(())
    })
}
