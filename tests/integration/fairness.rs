//! Fairness: many deployments of one organization do not hold up another's one.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;
use tests::{Outcome, pretend, run, sql};

use crate::web;

/// Deployments that one organization queues.
const MANY: usize = 500;
/// Requests at once: no more than the API of a test works on.
const AT_ONCE: usize = 32;
/// Claims that are timed, with nearly all of the queue still there.
const TIMED: usize = 21;
/// What a claim may take.
const QUICK: Duration = Duration::from_millis(20);

#[test]
fn five_hundred_queued_deployments_do_not_hold_up_another_s_one() -> Outcome {
    run(async |skep| {
        let worker = skep.database.worker();
        let (busy, other) = (skep.tenant("busy").await?, skep.tenant("other").await?);
        // 1020 addresses: each app may need two.
        let large = json!({ "slug": "large", "network": { "prefix": 22 } });
        let environments = format!("{}/environments", busy.home());
        busy.client.post(&environments, &large).await?.expect(201)?;
        let busy = busy.within("large");
        let begun = Instant::now();
        stream::iter(0..MANY)
            .map(async |number| {
                let app = format!("web-{number}");
                busy.create_app(&app, web()).await?;
                busy.deploy(&app, json!({})).await
            })
            .buffer_unordered(AT_ONCE)
            .try_for_each(async |_| Ok(()))
            .await?;
        println!("{MANY} apps deployed in {:?}", begun.elapsed());
        other.create_app("web", web()).await?;
        let one = other.deploy("web", json!({})).await?;
        let queued = "deployments WHERE status = 'queued'";
        assert_eq!(sql::count(skep.database.owner(), queued).await?, MANY as i64 + 1);

        // The oldest is the busy one's; then it has one in progress, and the other has none.
        pretend::claim(worker).await?;
        assert_eq!(other.deployment(&one).await?["status"], "queued");
        pretend::claim(worker).await?;
        assert_eq!(other.deployment(&one).await?["status"], "provisioning");

        let mut times = Vec::new();
        for _ in 0..TIMED {
            let begun = Instant::now();
            pretend::claim(worker).await?;
            times.push(begun.elapsed());
        }
        times.sort();
        println!("a claim: {:?} at best, {:?} in the median", times[0], times[TIMED / 2]);
        // What other tests do at the same time is no fault of the query's.
        assert!(times[0] < QUICK, "{times:?}");
        Ok(())
    })
}
