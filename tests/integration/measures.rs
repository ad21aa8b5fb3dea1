//! What API and worker tell Prometheus, read from processes that listen for it.

use std::time::Duration;

use serde_json::json;
use tests::{Client, Outcome, run, wait_for, wait_until};

use crate::web;

/// The value of a line of Prometheus's text form.
fn value(text: &str, line: &str) -> Option<f64> {
    text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok())
}

#[test]
fn processes_tell_what_they_do_and_nothing_of_whom() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let (api, url, metrics) = skep.start_measured_api().await?;
        let client = acme.client.at(&url);
        client
            .post(&acme.path("apps"), &json!({ "slug": "web", "image": web()["image"] }))
            .await?
            .expect(201)?;
        for _ in 0..3 {
            client.get(&acme.path("apps/web")).await?.expect(200)?;
        }
        client.get(&acme.path("apps/none")).await?.expect(404)?;
        client.get("/v1/nowhere/acme").await?.expect(404)?;
        client.post(&acme.path("apps/web/deployments"), &json!({})).await?.expect(202)?;
        let route = "/v1/organizations/{organization}/environments/{environment}/apps/{app}";
        let line = |route: &str, method: &str, status: &str| {
            let labels = format!("route=\"{route}\",method=\"{method}\",status=\"{status}\"");
            format!("skep_api_request_duration_seconds_count{{{labels}}} ")
        };
        let scrape = Client::new(&metrics, None)?;
        let told = wait_for("the levels", Duration::from_secs(20), async || {
            let told = scrape.get("/metrics").await?.text;
            let idle = value(&told, "skep_database_connections{state=\"idle\"} ");
            Ok(idle.is_some_and(|idle| idle >= 1.0).then_some(told))
        })
        .await?;
        assert_eq!(value(&told, &line(route, "GET", "2xx")), Some(3.0), "{told}");
        assert_eq!(value(&told, &line(route, "GET", "4xx")), Some(1.0), "{told}");
        assert_eq!(value(&told, &line("-", "GET", "4xx")), Some(1.0), "{told}");
        let checked = value(&told, "skep_api_tokens_checked_total ").unwrap();
        let looked_up = value(&told, "skep_api_tokens_looked_up_total ").unwrap();
        assert!(checked >= 6.0 && looked_up >= 1.0 && looked_up < checked, "{checked} {looked_up}");
        assert!(value(&told, "process_resident_memory_bytes ").is_some_and(|bytes| bytes > 1e6));
        assert!(told.contains("process_cpu_seconds_total"), "{told}");
        for name in ["acme", "web", "production", "skep_org_", "dep_"] {
            assert!(!told.contains(name), "{name}: {told}");
        }
        // The public address knows nothing of it.
        client.get("/metrics").await?.problem(404, "not_found")?;
        let (worker, metrics) = skep.start_measured_worker().await?;
        let scrape = Client::new(&metrics, None)?;
        wait_until("the worker's levels", Duration::from_secs(20), async || {
            let told = scrape.get("/metrics").await?.text;
            let counted = value(&told, "skep_deployments_unfinished{status=\"queued\"} ");
            Ok(counted == Some(1.0) && value(&told, "skep_outbox_length ").is_some())
        })
        .await?;
        drop((api, worker));
        Ok(())
    })
}
