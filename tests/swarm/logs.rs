//! Logs of apps: all replicas together, followed, resumed, and moved to another worker.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tests::answer::text;
use tests::follow::{Follow, Heard};
use tests::specs::web;
use tests::{Outcome, Tenant, run};
use tokio::time::Instant;

/// An app of so many replicas that print so many lines a second each.
async fn printing(tenant: &Tenant, replicas: u32, rate: u32) -> anyhow::Result<()> {
    let mut spec = web("v1");
    spec["replicas"] = replicas.into();
    spec["env"] = json!({ "APP_DRAIN_SECONDS": "0", "APP_PRINT": rate.to_string() });
    tenant.create_app("web", spec).await?;
    tenant.deploy_live("web", json!({})).await?;
    Ok(())
}

#[test]
fn a_log_is_of_all_replicas_in_the_order_of_time() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        printing(&acme, 2, 10).await?;
        let path = acme.path("apps/web/logs");
        let answer = acme.client.get(&format!("{path}?tail=20")).await?;
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        let lines: Vec<&str> = answer.text.lines().collect();
        assert_eq!(lines.len(), 40, "{}", answer.text);
        ensure!(
            lines.iter().all(|line| line.starts_with("web.1.") || line.starts_with("web.2.")),
            "{}",
            answer.text
        );
        ensure!(lines.iter().any(|line| line.contains(" | line ")), "{}", answer.text);

        let objects = async |query: &str| {
            let answer = acme
                .client
                .ask_with(
                    reqwest::Method::GET,
                    &format!("{path}{query}"),
                    None,
                    ("Accept", "application/jsonl"),
                )
                .await?;
            ensure!(answer.status == 200, "{}", answer.text);
            let objects: Vec<Value> =
                answer.text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
            Ok(objects.into_iter().filter(|object| object["text"].is_string()).collect::<Vec<_>>())
        };
        let all = objects("?tail=10000").await?;
        let times: Vec<&str> = all.iter().filter_map(|line| line["at"].as_str()).collect();
        ensure!(times.is_sorted(), "{times:?}");
        let mut heard = Heard::default();
        heard.hear(&all)?;
        assert_eq!(heard.last.len(), 2);
        let task = heard.last.keys().next().context("no task")?;
        let of_task = objects(&format!("?tail=5&task={task}")).await?;
        ensure!(
            of_task.len() == 5 && of_task.iter().all(|line| line["task"] == **task),
            "{of_task:?}"
        );
        let found = objects("?tail=10000&contains=line%207").await?;
        ensure!(
            !found.is_empty()
                && found
                    .iter()
                    .all(|line| line["text"].as_str().is_some_and(|text| text.contains("line 7")))
        );
        let (from, to) = (times[times.len() / 4], times[times.len() / 2]);
        let between = objects(&format!("?since={from}&until={to}")).await?;
        assert_eq!(between.len(), times.iter().filter(|at| **at >= from && **at < to).count());

        for (query, field) in [
            ("?tail=-1", "tail"),
            ("?tail=10001", "tail"),
            ("?since=yesterday", "since"),
            ("?follow=maybe", "follow"),
            ("?task=UPPER", "task"),
            ("?contains=", "contains"),
            ("?resume=x", "resume"),
            ("?follow=true&until=2026-11-23T00:00:00Z", "until"),
            ("?grep=x", "grep"),
        ] {
            let problem =
                acme.client.get(&format!("{path}{query}")).await?.problem(400, "invalid")?;
            assert_eq!(problem["violations"][0]["field"], field, "{query}");
        }
        Ok(())
    })
}

#[test]
fn a_deployments_log_is_of_its_own_tasks() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        let mut spec = web("v1");
        spec["env"] = json!({ "APP_DRAIN_SECONDS": "0", "APP_PRINT": "5" });
        acme.create_app("web", spec).await?;
        let first = acme.deploy_live("web", json!({})).await?;
        let path = format!("{}/logs?follow=true", acme.deployment_path(&first)?);
        let mut follow = Follow::begin(&acme.client, &path).await?;
        let second = acme.deploy_live("web", json!({ "force": true })).await?;
        // With the last of its tasks, which the next one replaced.
        let until = Instant::now() + Duration::from_secs(60);
        let mut followed = Heard::default();
        while let Some(objects) = follow.next().await? {
            ensure!(Instant::now() < until, "{:?}", followed.last);
            followed.hear(&objects)?;
        }
        assert_eq!((followed.last.len(), followed.drained.len()), (1, 1), "{followed:?}");
        let tasks = async |deployment: &Value| {
            let path = format!("{}/logs?tail=1000", acme.deployment_path(deployment)?);
            let answer = acme
                .client
                .ask_with(reqwest::Method::GET, &path, None, ("Accept", "application/jsonl"))
                .await?;
            let mut heard = Heard::default();
            let objects: Vec<Value> =
                answer.text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
            heard.hear(&objects)?;
            anyhow::Ok(heard.last.into_keys().collect::<Vec<_>>())
        };
        let (of_first, of_second) = (tasks(&first).await?, tasks(&second).await?);
        assert_eq!((of_first.len(), of_second.len()), (1, 1));
        assert_ne!(of_first, of_second);
        Ok(())
    })
}

#[test]
fn what_is_followed_goes_on_at_another_worker_and_by_its_cursor() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        printing(&acme, 2, 50).await?;
        let path = acme.path("apps/web/logs");
        let mut heard = Heard::default();
        let mut follow = Follow::begin(&acme.client, &format!("{path}?follow=true&tail=0")).await?;
        heard.read(&mut follow, Duration::from_secs(3)).await?;
        // The worker that gives is killed; another takes it up.
        skep.start_worker().await?;
        skep.workers().await[0].kill().await?;
        let before = heard.lines;
        heard.read(&mut follow, Duration::from_secs(20)).await?;
        println!(
            "{} lines before the worker was killed, {} after it",
            before,
            heard.lines - before
        );
        ensure!(heard.lines - before > 500, "{} {}", before, heard.lines);
        drop(follow);
        // What comes while nobody listens is given whole, and so are those that have ended in between.
        let scaled = acme.scale("web", 3).await?;
        acme.wait_for(&scaled, "succeeded", "live").await?;
        acme.deploy_live("web", json!({ "force": true })).await?;
        let resumed = format!("{path}?follow=true&resume={}", heard.cursor);
        let mut follow = Follow::begin(&acme.client, &resumed).await?;
        heard.read(&mut follow, Duration::from_secs(5)).await?;
        // Two before, one more, and three in their places.
        assert_eq!((heard.dropped, heard.missing, heard.last.len()), (0, 0, 6), "{:?}", heard.last);
        let new = heard.first.iter().filter(|(_, first)| **first == 1).count();
        assert_eq!((new, heard.drained.len()), (4, 3), "{:?} {:?}", heard.first, heard.drained);
        Ok(())
    })
}

#[test]
fn what_is_printed_too_fast_is_dropped_and_said_to_be() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        // Three megabytes a second, of which one follower is given one.
        let mut spec = web("v1");
        spec["env"] =
            json!({ "APP_DRAIN_SECONDS": "0", "APP_PRINT": "3000", "APP_LINE_BYTES": "1000" });
        acme.create_app("web", spec).await?;
        acme.deploy_live("web", json!({})).await?;
        let path = acme.path("apps/web/logs?follow=true&tail=0");
        let read = async || {
            let mut follow = Follow::begin(&acme.client, &path).await?;
            let mut heard = Heard::default();
            // Docker rotates its log each three seconds and a half.
            heard.read(&mut follow, Duration::from_secs(15)).await?;
            println!(
                "{} lines, {} dropped, {} gaps beside them",
                heard.lines, heard.dropped, heard.missing
            );
            ensure!(heard.lines > 0 && heard.dropped > 0, "{heard:?}");
            Ok(())
        };
        tokio::try_join!(read(), read())?;
        Ok(())
    })
}

#[test]
fn a_token_reads_ten_logs_at_once_and_none_without_a_worker() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        acme.create_app("web", web("v1")).await?;
        let path = acme.path("apps/web/logs?follow=true");
        acme.client.get(&path).await?.problem(503, "unavailable")?;
        skep.start_worker().await?;
        acme.deploy_live("web", json!({})).await?;
        let mut open = Vec::new();
        for _ in 0..10 {
            open.push(Follow::begin(&acme.client, &path).await?);
        }
        acme.client.get(&path).await?.problem(409, "too_many")?;
        drop(open);
        tests::wait_until("a place to be free", Duration::from_secs(30), async || {
            Ok(Follow::begin(&acme.client, &path).await.is_ok())
        })
        .await
    })
}

/// A deployment fails, and its log says why: from before it is taken up, and of tasks that live for a second.
#[test]
fn a_failing_deployments_log_is_followed_from_its_accept_on() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        let mut spec = web("v1");
        spec["env"] =
            json!({ "APP_DRAIN_SECONDS": "0", "APP_PRINT": "50", "APP_CRASH_AFTER": "1" });
        acme.create_app("web", spec).await?;
        let deployment = acme.deploy("web", json!({})).await?;
        let path = format!("{}/logs?follow=true", acme.deployment_path(&deployment)?);
        let mut follow = Follow::begin(&acme.client, &path).await?;
        let mut heard = Heard::default();
        let until = Instant::now() + Duration::from_secs(60);
        while heard.drained.len() < 2 {
            ensure!(Instant::now() < until, "{:?} {:?}", heard.last, heard.drained);
            heard.hear(&follow.next().await?.context("the log has ended")?)?;
        }
        for task in &heard.drained {
            assert_eq!(heard.first.get(task), Some(&1), "{task}");
            ensure!(heard.last[task] >= 40, "{:?}", heard.last);
        }
        assert_eq!((heard.dropped, heard.missing), (0, 0));
        Ok(())
    })
}

#[test]
fn who_may_no_longer_read_reads_no_more() -> Outcome {
    run(async |skep| {
        skep.start_worker().await?;
        let acme = skep.tenant("acme").await?;
        printing(&acme, 1, 5).await?;
        let tokens = format!("{}/tokens", acme.home());
        let made = skep.operator.post(&tokens, &json!({ "name": "CI" })).await?.expect(201)?;
        let client = acme.client.with_token(Some(text(&made, "/secret")?));
        let mut follow = Follow::begin(&client, &acme.path("apps/web/logs?follow=true")).await?;
        Heard::default().read(&mut follow, Duration::from_secs(1)).await?;
        let token = format!("{tokens}/{}", text(&made, "/id")?);
        skep.operator.delete(&token).await?.expect(204)?;
        let until = Instant::now() + Duration::from_secs(30);
        // The answer is cut off: it is not whole.
        while follow.next().await.is_ok_and(|objects| objects.is_some()) {
            ensure!(Instant::now() < until, "it is read still");
        }
        Ok(())
    })
}
