//! App specs of these stories: small, quick to judge.

use serde_json::{Value, json};

/// An app that answers HTTP, is checked each second, and is updated with the policy `fast`.
pub(crate) fn web(image: &str) -> Value {
    json!({
        "image": format!("skep-demo:{image}"),
        "port": 8080,
        "memory": 256,
        "health_check": { "http": { "path": "/health" }, "interval": 1, "timeout": 2, "retries": 2 },
        "update_policy": { "preset": "fast" },
    })
}
