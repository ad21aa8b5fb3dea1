//! Bad input: a clear error that names field and rule, before anything is written. Never a 500.

use reqwest::Method;
use serde_json::{Value, json};
use tests::answer::{list, text};
use tests::client::Ask;
use tests::{Outcome, run, sql};

use crate::web;

/// What is set in a good spec, and the field that has to be named.
fn table() -> Vec<(Value, &'static str)> {
    let many = |count: usize| (0..count).map(|n| (format!("K{n}"), json!("v"))).collect::<Value>();
    vec![
        (json!({ "image": "" }), "image"),
        (json!({ "image": "demo" }), "image"),
        (json!({ "image": "demo:v1\u{0}" }), "image"),
        (json!({ "image": "http://registry/demo:v1" }), "image"),
        (json!({ "image": format!("{}:v1", "a".repeat(260)) }), "image"),
        (json!({ "image": null }), "image"),
        (json!({ "image": 7 }), "image"),
        (json!({ "cpu": 0.4 }), "cpu"),
        (json!({ "cpu": 16.5 }), "cpu"),
        (json!({ "cpu": "1" }), "cpu"),
        (json!({ "cpu": 0.50001 }), "cpu"),
        (json!({ "memory": 255 }), "memory"),
        (json!({ "memory": 32769 }), "memory"),
        (json!({ "memory": 512.5 }), "memory"),
        (json!({ "memory": "512MB" }), "memory"),
        (json!({ "disk": 0 }), "disk"),
        (json!({ "disk": 501 }), "disk"),
        (json!({ "replicas": -1 }), "replicas"),
        (json!({ "replicas": 101 }), "replicas"),
        (json!({ "port": 0 }), "port"),
        (json!({ "port": 65536 }), "port"),
        (json!({ "port": 80, "extra_ports": [80] }), "extra_ports"),
        (json!({ "command": [] }), "command"),
        (json!({ "command": "sh -c true" }), "command"),
        (json!({ "args": ["a\u{0}b"] }), "args"),
        (json!({ "args": vec!["a"; 65] }), "args"),
        (json!({ "user": "root; rm" }), "user"),
        (json!({ "working_dir": "relative" }), "working_dir"),
        (json!({ "working_dir": "/a\u{0}" }), "working_dir"),
        (json!({ "env": { "A": 1 } }), "env.A"),
        (json!({ "env": { "SKEP_X": "1" } }), "env.SKEP_X"),
        (json!({ "env": { "A": "a\u{0}" } }), "env.A"),
        (json!({ "env": { "1A": "x" } }), "env"),
        (json!({ "env": { "A": "x".repeat(32 * 1024 + 1) } }), "env"),
        (json!({ "env": many(257) }), "env"),
        (json!({ "health_check": {} }), "health_check"),
        (json!({ "health_check": { "http": {} } }), "health_check.http.port"),
        (
            json!({ "health_check": { "http": { "port": 80 }, "tcp": { "port": 80 } } }),
            "health_check",
        ),
        (
            json!({ "health_check": { "http": { "port": 80, "path": "health" } } }),
            "health_check.http.path",
        ),
        (
            json!({ "health_check": { "http": { "port": 80, "path": "/a b" } } }),
            "health_check.http.path",
        ),
        (
            json!({ "health_check": { "tcp": { "port": 80 }, "interval": 0 } }),
            "health_check.interval",
        ),
        (
            json!({ "health_check": { "tcp": { "port": 80 }, "retries": 11 } }),
            "health_check.retries",
        ),
        (
            json!({ "health_check": { "tcp": { "port": 80 }, "start_period": 1801 } }),
            "health_check.start_period",
        ),
        (json!({ "health_check": { "tcp": { "port": 80 }, "grace": 3 } }), "health_check.grace"),
        (json!({ "update_policy": { "preset": "yolo" } }), "update_policy.preset"),
        (json!({ "update_policy": { "parallelism": 0 } }), "update_policy.parallelism"),
        (
            json!({ "update_policy": { "max_failure_ratio": 1.1 } }),
            "update_policy.max_failure_ratio",
        ),
        (json!({ "update_policy": { "monitor": 12 } }), "update_policy.monitor"),
        (json!({ "update_policy": { "order": "start_first" } }), "update_policy.order"),
        (json!({ "deadlines": { "schedule": 9 } }), "deadlines.schedule"),
        (json!({ "deadlines": { "pull": 29 } }), "deadlines.pull"),
        (json!({ "deadlines": { "healthy": 1801 } }), "deadlines.healthy"),
        (json!({ "deadlines": { "progress": 59 } }), "deadlines.progress"),
        (
            json!({ "placement": { "constraints": ["node.role==manager"] } }),
            "placement.constraints",
        ),
        (json!({ "placement": { "constraints": ["node.hostname==a"] } }), "placement.constraints"),
        (json!({ "stop_signal": "SIGSTOP" }), "stop_signal"),
        (json!({ "stop_grace_period": 0 }), "stop_grace_period"),
        (json!({ "stop_grace_period": 301 }), "stop_grace_period"),
        (json!({ "restart": { "condition": "sometimes" } }), "restart.condition"),
        (json!({ "restart": { "delay": 601 } }), "restart.delay"),
        (json!({ "tmpfs": [{ "path": "/proc", "size": 1 }] }), "tmpfs"),
        (json!({ "tmpfs": [{ "path": "/tmp", "size": 0 }] }), "tmpfs.0.size"),
        (json!({ "endpoint_mode": "host" }), "endpoint_mode"),
        (json!({ "labels": { "a\u{0}": "x" } }), "labels"),
        // What could reach the host has no field at all.
        (json!({ "mounts": [{ "source": "/var/run/docker.sock", "target": "/s" }] }), "mounts"),
        (json!({ "volumes": [] }), "volumes"),
        (json!({ "privileged": true }), "privileged"),
        (json!({ "cap_add": ["SYS_ADMIN"] }), "cap_add"),
        (json!({ "network_mode": "host" }), "network_mode"),
        (json!({ "networks": ["other"] }), "networks"),
        (json!({ "ports": ["80:80"] }), "ports"),
    ]
}

#[test]
fn each_broken_rule_names_its_field() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let mut wrong = Vec::new();
        for (bad, field) in table() {
            let mut spec = web();
            spec["slug"] = "web".into();
            for (name, value) in bad.as_object().into_iter().flatten() {
                spec[name] = value.clone();
            }
            let answer = acme.client.post(&acme.path("apps"), &spec).await?;
            let shown: String = bad.to_string().chars().take(120).collect();
            match answer.problem(400, "invalid") {
                Ok(problem) => {
                    let told = list(&problem, "/violations")?;
                    // Or an entry of the field, where it is a list.
                    let entry = format!("{field}.");
                    let named = told
                        .iter()
                        .filter_map(|broken| broken["field"].as_str())
                        .any(|told| told == field || told.starts_with(&entry));
                    let ruled = told
                        .iter()
                        .all(|broken| text(broken, "/rule").is_ok_and(|rule| !rule.is_empty()));
                    if !named || !ruled {
                        wrong.push(format!(
                            "{shown}: {field} is not named: {}",
                            problem["violations"]
                        ));
                    }
                }
                Err(error) => wrong.push(format!("{shown}: {error}")),
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert_eq!(sql::count(skep.database.owner(), "apps").await?, 0);
        Ok(())
    })
}

#[test]
fn several_broken_rules_are_told_together() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let body = json!({ "slug": "Web", "image": "demo:v1", "cpu": 99, "extra": 1 });
        let problem = acme.client.post(&acme.path("apps"), &body).await?.problem(400, "invalid")?;
        let mut fields: Vec<&str> = list(&problem, "/violations")?
            .iter()
            .map(|broken| text(broken, "/field"))
            .collect::<Result<_, _>>()?;
        fields.sort_unstable();
        assert_eq!(fields, ["cpu", "extra", "slug"], "{problem}");
        Ok(())
    })
}

#[test]
fn what_is_no_json_of_a_fair_size_is_refused() -> Outcome {
    run(async |skep| {
        let acme = skep.tenant("acme").await?;
        let path = acme.path("apps");
        for bad in
            ["{", "[]", "null", "\"web\"", "{\"slug\":\"web\",}", "\u{1}", "{\"slug\":\"\\u0000\"}"]
        {
            let ask = Ask { body: Some(bad.into()), headers: &[] };
            let answer = acme.client.ask(Method::POST, &path, ask).await?;
            answer.problem(400, "invalid").map_err(|error| error.context(bad))?;
        }
        let invalid_utf8 = Ask { body: Some(vec![b'"', 0xff, b'"']), headers: &[] };
        acme.client.ask(Method::POST, &path, invalid_utf8).await?.problem(400, "invalid")?;
        let nested = Ask { body: Some("[".repeat(100_000).into()), headers: &[] };
        acme.client.ask(Method::POST, &path, nested).await?.problem(400, "invalid")?;
        let large = Ask { body: Some(vec![b' '; 257 * 1024]), headers: &[] };
        acme.client.ask(Method::POST, &path, large).await?.problem(413, "too_large")?;
        let other =
            Ask { body: None, headers: &[("Content-Type", "text/plain"), ("Content-Length", "0")] };
        let answer = acme.client.ask(Method::POST, &path, other).await?;
        assert!((400..500).contains(&answer.status), "{answer:?}");
        Ok(())
    })
}

#[test]
fn unknown_paths_and_methods_are_told() -> Outcome {
    run(async |skep| {
        skep.operator.get("/v1/nothing").await?.problem(404, "not_found")?;
        skep.operator.get("/").await?.problem(404, "not_found")?;
        skep.operator.get("/v1/organizations/%00").await?.problem(404, "not_found")?;
        skep.operator.get("/v1/organizations/%ff%fe").await?.problem(400, "invalid")?;
        let answer = skep.operator.delete("/v1/organizations").await?;
        let mut allowed: Vec<&str> =
            answer.header("allow").unwrap_or_default().split(", ").collect();
        allowed.sort_unstable();
        assert_eq!(allowed, ["GET", "HEAD", "POST"]);
        answer.problem(405, "method_not_allowed")?;
        Ok(())
    })
}
