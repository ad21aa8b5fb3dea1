//! Patches of apps: JSON merge patches (RFC 7396) over the app's own JSON form, so that a field
//! which the spec gains can be patched from that day.

use std::borrow::Cow;

use db::apps::AppDraft;
use model::Error;
use model::error::Violation;
use poem_openapi::registry::{MetaSchemaRef, Registry};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON as _, Type};
use serde_json::{Map, Value};
use validator::{Validate, ValidationErrors};

use super::AppUpdate;

/// What a patch says: some of the fields of [`AppUpdate`], or `null` in their place.
#[derive(Debug)]
pub(crate) struct AppPatch(Map<String, Value>);

/// The kinds of a health check, of which an app has one.
const HEALTH_TESTS: &[&str] = &["http", "tcp", "command"];

impl AppPatch {
    /// The draft with this patch applied.
    pub(crate) fn apply(self, draft: AppDraft) -> Result<AppDraft, Error> {
        let before = AppUpdate { replicas: draft.replicas, spec: draft.spec.into() };
        let mut json = before.to_json().unwrap_or_default();
        let patch = Value::Object(self.0);
        if let Some(policy) = json.get_mut("update_policy").and_then(Value::as_object_mut) {
            // Stored policies are written out in full: they would override any preset.
            if patch.pointer("/update_policy/preset").is_some_and(|preset| !preset.is_null()) {
                policy.clear();
            }
            // What is left of a preset that is changed is no preset.
            policy.remove("preset");
        }
        let named = |test: &&&str| {
            patch.pointer(&format!("/health_check/{test}")).is_some_and(|test| !test.is_null())
        };
        if HEALTH_TESTS.iter().find(named).is_some()
            && let Some(check) = json.get_mut("health_check").and_then(Value::as_object_mut)
        {
            let others = |test: &str| HEALTH_TESTS.contains(&test) && !named(&&test);
            check.retain(|name, _| !others(name));
        }
        merge(&mut json, patch);
        if json.get("image").is_none() {
            return Err(Error::invalid(vec![Violation::new("image", "is required")]));
        }
        // Once more, now as a whole: two parts that fit may add up to what does not. The patch's
        // schema has all bounds of an update, which itself is no body and not in the document.
        crate::body::check::<Self>(&json)?;
        let AppUpdate { replicas, spec } = crate::body::read_checked(json)?;
        Ok(AppDraft { spec: spec.try_into()?, replicas })
    }
}

/// RFC 7396, section 2.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(object) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            object.remove(&name);
        } else {
            merge(object.entry(name).or_insert(Value::Null), value);
        }
    }
}

impl Type for AppPatch {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "AppPatch".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Reference(Self::name().into_owned())
    }

    /// The schema of an update in which nothing is required and nothing has a default.
    fn register(registry: &mut Registry) {
        registry.create_schema::<Self, _>(Self::name().into_owned(), |registry| {
            let mut schema = registry.create_fake_schema::<AppUpdate>();
            schema.title = Some(Self::name().into_owned());
            schema.description = Some("A JSON merge patch (RFC 7396) of an app.");
            schema.required = Vec::new();
            for (_, property) in &mut schema.properties {
                without_default(property);
            }
            schema
        });
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

fn without_default(property: &mut MetaSchemaRef) {
    let MetaSchemaRef::Inline(schema) = property else { return };
    schema.default = None;
    schema.all_of.iter_mut().for_each(without_default);
    if let Some(values) = &mut schema.additional_properties
        && let MetaSchemaRef::Inline(values) = &mut **values
    {
        // Null removes the entry.
        values.nullable = true;
    }
}

impl ParseFromJSON for AppPatch {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        match value {
            Some(Value::Object(map)) => Ok(Self(map)),
            _ => Err(ParseError::expected_input()),
        }
    }
}

impl Validate for AppPatch {
    fn validate(&self) -> Result<(), ValidationErrors> {
        // The rules across fields are about the whole, which is read after the merge.
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use model::error::ErrorCode;
    use model::health_check::HealthTest;
    use model::spec::AppSpec;
    use model::update_policy::UpdatePolicy;
    use serde_json::json;

    use super::*;

    fn patched(spec: AppSpec, patch: Value) -> Result<AppDraft, Error> {
        crate::body::read::<AppPatch>(patch)?.apply(AppDraft { spec, replicas: 2 })
    }

    fn base() -> AppSpec {
        let mut spec = AppSpec::of_image("web:v1");
        spec.env.insert("A".into(), "1".into());
        spec.port = Some(80);
        spec
    }

    fn rules(error: Error) -> Vec<(String, String)> {
        assert_eq!(error.code, ErrorCode::Invalid);
        error.violations.into_iter().map(|broken| (broken.field, broken.rule)).collect()
    }

    #[test]
    fn what_is_absent_stays() {
        let draft = patched(base(), json!({})).unwrap();
        assert_eq!((draft.spec, draft.replicas), (base(), 2));
    }

    #[test]
    fn values_are_set_maps_are_merged_and_null_is_the_default() {
        let patch = json!({ "replicas": 5, "cpu": 2, "env": { "B": "2", "A": null },
            "port": null, "extra_ports": [81] });
        let draft = patched(base(), patch).unwrap();
        assert_eq!(draft.replicas, 5);
        assert_eq!((draft.spec.cpu_millis, draft.spec.port), (2000, None));
        assert_eq!(draft.spec.env, [("B".to_owned(), "2".to_owned())].into());
        assert_eq!(draft.spec.extra_ports, [81]);
        let draft = patched(draft.spec, json!({ "cpu": null, "env": null })).unwrap();
        assert_eq!((draft.spec.cpu_millis, draft.spec.env.len()), (500, 0));
    }

    #[test]
    fn a_preset_starts_over_and_a_field_alone_does_not() {
        let fast = patched(base(), json!({ "update_policy": { "preset": "fast" } })).unwrap();
        assert_eq!(fast.spec.update_policy, UpdatePolicy::FAST);
        let patch = json!({ "update_policy": { "parallelism": 4 } });
        let changed = patched(fast.spec, patch).unwrap().spec.update_policy;
        assert_eq!(changed, UpdatePolicy { parallelism: 4, ..UpdatePolicy::FAST });
    }

    #[test]
    fn a_health_check_changes_its_kind() {
        let patch = json!({ "health_check": { "http": { "path": "/ok" }, "retries": 9 } });
        let http = patched(base(), patch).unwrap().spec;
        let patch = json!({ "health_check": { "tcp": { "port": 81 } } });
        let check = patched(http, patch).unwrap().spec.health_check.unwrap();
        assert_eq!(check.test, HealthTest::Tcp { port: 81 });
        assert_eq!(check.retries, 9);
    }

    #[test]
    fn a_check_without_a_port_of_its_own_follows_the_apps() {
        for test in ["http", "tcp"] {
            let port = |spec: &AppSpec| match spec.health_check.as_ref().unwrap().test {
                HealthTest::Http { port, .. } | HealthTest::Tcp { port } => port,
                HealthTest::Command { .. } => 0,
            };
            let check = json!({ "health_check": { test: {} } });
            let follows = patched(base(), check).unwrap().spec;
            assert_eq!(port(&follows), 80);
            let moved = patched(follows, json!({ "port": 8080 })).unwrap().spec;
            assert_eq!((port(&moved), moved.port), (8080, Some(8080)), "{test}");
            // One of its own stays; taken away, it follows again.
            let own = json!({ "health_check": { test: { "port": 81 } } });
            let own = patched(moved, own).unwrap().spec;
            let own = patched(own, json!({ "port": 9090 })).unwrap().spec;
            assert_eq!(port(&own), 81, "{test}");
            let back = json!({ "health_check": { test: { "port": null } } });
            let back = patched(own, back).unwrap().spec;
            assert_eq!(port(&back), 9090, "{test}");
            let field = format!("health_check.{test}.port");
            let needed = rules(patched(back, json!({ "port": null })).unwrap_err());
            assert_eq!(needed[0].0, field);
        }
    }

    #[test]
    fn what_breaks_a_rule_is_named() {
        let told = |field: &str, rule: &str| vec![(field.to_owned(), rule.to_owned())];
        let refused = |patch| rules(patched(base(), patch).unwrap_err());
        assert_eq!(refused(json!({ "image": null })), told("image", "is required"));
        assert_eq!(refused(json!({ "slug": "b" })), told("slug", "is not a known field"));
        assert_eq!(refused(json!({ "cpu": 65 })), told("cpu", "a number from 0.5 to 64"));
        assert_eq!(
            refused(json!({ "update_policy": { "delay": 60 } })),
            told("update_policy.monitor", "at least delay + 5: 65")
        );
        let names = |range: std::ops::Range<u16>| -> Map<String, Value> {
            range.map(|number| (format!("N{number}"), "x".into())).collect()
        };
        let full = patched(base(), json!({ "env": names(0..200) })).unwrap().spec;
        let over = rules(patched(full, json!({ "env": names(200..300) })).unwrap_err());
        assert_eq!(over, told("env", "an object of at most 256 entries"));
        let both = json!({ "health_check": { "tcp": {}, "http": {} } });
        assert_eq!(refused(both), told("health_check", "exactly one of http, tcp and command"));
    }
}
