//! The rules across fields of a spec, which a schema cannot say. Each violation names the field
//! where it would be mended.

use std::borrow::Cow;

use validator::{Validate, ValidationError, ValidationErrors};

use super::health_check::{NEEDS_PORT, ONE_OF};
use super::{AppSpec, HealthCheck};

impl Validate for AppSpec {
    fn validate(&self) -> Result<(), ValidationErrors> {
        let mut broken = ValidationErrors::new();
        if let Some(check) = &self.health_check {
            check_health(check, self.port, &mut broken);
        }
        let policy = model::update_policy::UpdatePolicy::from(self.update_policy.clone());
        let least = policy.delay_seconds.saturating_add(5);
        if policy.monitor_seconds < least {
            broken.add("update_policy.monitor", rule(format!("at least delay + 5: {least}")));
        }
        if broken.is_empty() { Ok(()) } else { Err(broken) }
    }
}

fn check_health(check: &HealthCheck, port: Option<u16>, broken: &mut ValidationErrors) {
    let tests = [check.http.is_some(), check.tcp.is_some(), check.command.is_some()];
    if tests.into_iter().filter(|given| *given).count() != 1 {
        broken.add("health_check", rule(ONE_OF));
    }
    if port.is_none() {
        if check.http.as_ref().is_some_and(|http| http.port.is_none()) {
            broken.add("health_check.http.port", rule(NEEDS_PORT));
        }
        if check.tcp.as_ref().is_some_and(|tcp| tcp.port.is_none()) {
            broken.add("health_check.tcp.port", rule(NEEDS_PORT));
        }
    }
}

/// A rule in words.
pub(crate) fn rule(words: impl Into<Cow<'static, str>>) -> ValidationError {
    ValidationError::new("rule").with_message(words.into())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::endpoints::apps::AppCreate;

    fn fields(mut json: Value) -> Vec<(String, String)> {
        json["slug"] = "web".into();
        let error = match crate::body::read::<AppCreate>(json) {
            Ok(_) => return Vec::new(),
            Err(error) => error,
        };
        error.violations.into_iter().map(|broken| (broken.field, broken.rule)).collect()
    }

    fn told(field: &str, rule: &str) -> Vec<(String, String)> {
        vec![(field.to_owned(), rule.to_owned())]
    }

    #[test]
    fn a_health_check_asks_one_thing() {
        let spec = |check: Value| json!({ "image": "a:1", "port": 80, "health_check": check });
        assert_eq!(fields(spec(json!({ "tcp": {} }))), []);
        assert_eq!(fields(spec(json!({ "command": ["/ok"] }))), []);
        assert_eq!(fields(spec(json!({}))), told("health_check", ONE_OF));
        assert_eq!(fields(spec(json!({ "tcp": {}, "http": {} }))), told("health_check", ONE_OF));
    }

    #[test]
    fn a_health_check_needs_a_port_from_somewhere() {
        let spec = |check: Value| json!({ "image": "a:1", "health_check": check });
        assert_eq!(fields(spec(json!({ "http": {} }))), told("health_check.http.port", NEEDS_PORT));
        assert_eq!(fields(spec(json!({ "http": { "port": 80 } }))), []);
    }

    #[test]
    fn the_window_is_longer_than_the_pause() {
        let spec = json!({ "image": "a:1", "update_policy": { "delay": 20 } });
        assert_eq!(fields(spec), told("update_policy.monitor", "at least delay + 5: 25"));
    }

    #[test]
    fn bounds_and_unknown_fields_are_told_together() {
        let spec = json!({ "image": "a:1", "cpu": 0.1, "memory": "1G", "volumes": [] });
        assert_eq!(
            fields(spec),
            [
                ("cpu".to_owned(), "a number from 0.5 to 64".to_owned()),
                ("memory".to_owned(), "an integer from 256 to 262144".to_owned()),
                ("volumes".to_owned(), "is not a known field".to_owned()),
            ]
        );
    }
}
