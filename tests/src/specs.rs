//! App specs of stories on a real dockerd: small, quick to judge.

use serde_json::{Value, json};

/// An app that answers HTTP, is checked each second, is updated with the policy `fast`, and ends
/// and starts again at once.
pub fn web(tag: &str) -> Value {
    json!({
        "image": image(tag),
        "port": 8080,
        "memory": 256,
        "env": { "APP_DRAIN_SECONDS": "0" },
        "health_check": { "http": { "path": "/health" }, "interval": 1, "timeout": 2, "retries": 2 },
        "update_policy": { "preset": "fast" },
        "restart": { "delay": 1 },
    })
}

/// The same, and each task takes some seconds to start: time to do something to a rollout.
pub fn slow_web(tag: &str) -> Value {
    let mut spec = web(tag);
    spec["env"]["APP_START_DELAY"] = "4".into();
    spec["health_check"]["start_period"] = 10.into();
    spec
}

/// An app that requests another one so many times a second, and writes its counts each second.
pub fn visitor(url: &str, rate: u32) -> Value {
    let mut spec = web("v1");
    spec["args"] = json!(["visit", "--url", url, "--rate", rate.to_string()]);
    spec
}

/// The sample image.
pub fn image(tag: &str) -> String {
    format!("skep-demo:{tag}")
}
