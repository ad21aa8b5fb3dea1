//! Checks a JSON value against a schema of the OpenAPI document, and says of every field that does
//! not fit where it is and what would.
//!
//! poem-openapi's own parser stops at the first fault, names Rust types instead of fields, and
//! repeats the value that it was given. It still runs after this, on values that fit.

mod words;

use std::collections::BTreeMap;

use chrono::DateTime;
use model::error::Violation;
use regex::Regex;
use serde_json::{Map, Value};

pub(crate) use words::ANY_TEXT;
#[cfg(test)]
pub(crate) use words::PATTERNS;
use words::rule_of;
pub(crate) use words::{RESUME_PATTERN, TASK_PATTERN};

/// Most violations that one answer lists: a body of nonsense must not make a larger answer.
const MAX_VIOLATIONS: usize = 50;

/// Longest name of an unknown field that is repeated, in characters.
const MAX_NAME: usize = 80;

/// A schema, ready to check values with.
#[derive(Debug)]
pub(crate) struct Schema {
    kind: Kind,
    rule: String,
    nullable: bool,
}

#[derive(Debug)]
enum Kind {
    Object {
        required: Vec<String>,
        properties: BTreeMap<String, Schema>,
        /// What a property of another name must be; `None`: there may be none.
        others: Option<Box<Schema>>,
        at_most: Option<usize>,
    },
    List {
        items: Box<Schema>,
        least: usize,
        most: usize,
    },
    Text {
        least: usize,
        most: usize,
        pattern: Option<Regex>,
        date_time: bool,
        words: Vec<String>,
    },
    Number {
        integer: bool,
        least: f64,
        most: f64,
    },
    Boolean,
    OneOf(Vec<Schema>),
    Any,
}

impl Schema {
    /// Reads a schema of the document; `None` where the schema is not of the forms that ours have.
    pub(crate) fn read(document: &Value, schema: &Value) -> Option<Self> {
        let map = resolved(document, schema)?;
        let kind = match map.get("type").and_then(Value::as_str) {
            Some("object") => read_object(document, &map)?,
            Some("array") => Kind::List {
                items: Box::new(Self::read(document, map.get("items")?)?),
                least: size(&map, "minItems").unwrap_or(0),
                most: size(&map, "maxItems").unwrap_or(usize::MAX),
            },
            Some("string") => Kind::Text {
                least: size(&map, "minLength").unwrap_or(0),
                most: size(&map, "maxLength").unwrap_or(usize::MAX),
                pattern: match map.get("pattern").and_then(Value::as_str) {
                    Some(pattern) => Some(Regex::new(pattern).ok()?),
                    None => None,
                },
                date_time: map.get("format").is_some_and(|format| format == "date-time"),
                words: texts(&map, "enum"),
            },
            Some(name @ ("integer" | "number")) => read_number(&map, name == "integer"),
            Some("boolean") => Kind::Boolean,
            _ => match map.get("oneOf").and_then(Value::as_array) {
                Some(forms) => Kind::OneOf(
                    forms.iter().map(|form| Self::read(document, form)).collect::<Option<_>>()?,
                ),
                None => Kind::Any,
            },
        };
        let rule = rule_of(&kind);
        let nullable = map.get("nullable").is_some_and(|nullable| nullable == true);
        Some(Self { kind, rule, nullable })
    }

    /// What fits, as a sentence fragment that completes "must be …".
    pub(crate) fn rule(&self) -> &str {
        &self.rule
    }

    /// Everything in `value` that does not fit.
    pub(crate) fn check(&self, value: &Value) -> Vec<Violation> {
        let mut found = Vec::new();
        self.visit(value, &mut String::new(), &mut found);
        found
    }

    fn visit(&self, value: &Value, path: &mut String, found: &mut Vec<Violation>) {
        if found.len() >= MAX_VIOLATIONS {
            return;
        }
        match (&self.kind, value) {
            (Kind::Object { .. }, Value::Object(object)) => self.visit_object(object, path, found),
            (Kind::List { items, least, most }, Value::Array(list)) => {
                if !(*least..=*most).contains(&list.len()) {
                    found.push(violation(path, &self.rule));
                }
                for (index, item) in list.iter().enumerate() {
                    within(path, &index.to_string(), |path| items.visit(item, path, found));
                }
            }
            (_, Value::Null) if self.nullable => {}
            _ if self.fits(value) => {}
            _ => found.push(violation(path, &self.rule)),
        }
    }

    fn visit_object(
        &self,
        object: &Map<String, Value>,
        path: &mut String,
        found: &mut Vec<Violation>,
    ) {
        let Kind::Object { required, properties, others, at_most } = &self.kind else { return };
        for name in required {
            if object.get(name).is_none_or(Value::is_null) {
                within(path, name, |path| found.push(violation(path, "is required")));
            }
        }
        if at_most.is_some_and(|most| object.len() > most) {
            found.push(violation(path, &self.rule));
        }
        for (name, value) in object {
            // A required one that is null has been told; any other null says the default.
            match (properties.get(name), others) {
                (Some(_), _) if value.is_null() => {}
                (Some(schema), _) => within(path, name, |path| schema.visit(value, path, found)),
                (None, Some(schema)) => {
                    within(path, name, |path| schema.visit(value, path, found));
                }
                (None, None) if found.len() < MAX_VIOLATIONS => {
                    let name: String = name.chars().take(MAX_NAME).collect();
                    within(path, &name, |path| found.push(violation(path, "is not a known field")));
                }
                (None, None) => return,
            }
        }
    }

    fn fits(&self, value: &Value) -> bool {
        match (&self.kind, value) {
            (Kind::Any, _) | (Kind::Boolean, Value::Bool(_)) => true,
            (Kind::Text { least, most, pattern, date_time, words }, Value::String(text)) => {
                (*least..=*most).contains(&text.chars().count())
                    && pattern.as_ref().is_none_or(|pattern| pattern.is_match(text))
                    && (!date_time || DateTime::parse_from_rfc3339(text).is_ok())
                    && (words.is_empty() || words.contains(text))
            }
            (Kind::Number { integer, least, most }, Value::Number(number)) => {
                (!integer || number.is_i64() || number.is_u64())
                    && number.as_f64().is_some_and(|number| (*least..=*most).contains(&number))
            }
            (Kind::OneOf(forms), _) => forms.iter().any(|form| form.check(value).is_empty()),
            _ => false,
        }
    }
}

/// A schema with its `$ref` and `allOf` written out.
fn resolved(document: &Value, schema: &Value) -> Option<Map<String, Value>> {
    let own = schema.as_object()?;
    let mut map = Map::new();
    if let Some(reference) = own.get("$ref").and_then(Value::as_str) {
        map = resolved(document, document.pointer(reference.strip_prefix('#')?)?)?;
    }
    for part in own.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        map.extend(resolved(document, part)?);
    }
    map.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
    Some(map)
}

fn read_object(document: &Value, map: &Map<String, Value>) -> Option<Kind> {
    let mut properties = BTreeMap::new();
    for (name, schema) in map.get("properties").and_then(Value::as_object).into_iter().flatten() {
        properties.insert(name.clone(), Schema::read(document, schema)?);
    }
    let others = match map.get("additionalProperties") {
        Some(schema @ Value::Object(_)) => Some(Box::new(Schema::read(document, schema)?)),
        _ => None,
    };
    let at_most = size(map, "maxProperties");
    Some(Kind::Object { required: texts(map, "required"), properties, others, at_most })
}

fn read_number(map: &Map<String, Value>, integer: bool) -> Kind {
    let (least, most) = match map.get("format").and_then(Value::as_str) {
        Some("uint16") => (0.0, f64::from(u16::MAX)),
        Some("uint32") => (0.0, f64::from(u32::MAX)),
        Some("int32") => (f64::from(i32::MIN), f64::from(i32::MAX)),
        _ => (f64::MIN, f64::MAX),
    };
    let bound = |name| map.get(name).and_then(Value::as_f64);
    Kind::Number {
        integer,
        least: bound("minimum").unwrap_or(least),
        most: bound("maximum").unwrap_or(most),
    }
}

fn size(map: &Map<String, Value>, name: &str) -> Option<usize> {
    map.get(name).and_then(Value::as_u64).and_then(|size| usize::try_from(size).ok())
}

fn texts(map: &Map<String, Value>, name: &str) -> Vec<String> {
    let list = map.get(name).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn violation(path: &str, rule: &str) -> Violation {
    Violation::new(if path.is_empty() { "body" } else { path }, rule)
}

/// Runs `visit` with `name` at the end of the path.
fn within(path: &mut String, name: &str, visit: impl FnOnce(&mut String)) {
    let length = path.len();
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
    visit(path);
    path.truncate(length);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use model::slug::{SLUG_PATTERN, SLUG_RULE};

    use super::*;

    fn faults(value: &Value) -> Vec<(String, String)> {
        let document = json!({ "components": { "schemas": {
            "Size": { "type": "integer", "format": "uint32" },
            "Thing": {
                "type": "object",
                "required": ["name"],
                "additionalProperties": false,
                "properties": {
                    "name": { "type": "string", "pattern": SLUG_PATTERN },
                    "share": { "type": "number", "minimum": 0.5, "maximum": 16.0 },
                    "size": { "allOf": [
                        { "$ref": "#/components/schemas/Size" }, { "maximum": 3.0 } ] },
                    "words": { "type": "array", "maxItems": 2, "items": { "type": "string" } },
                    "order": { "type": "string", "enum": ["up", "down"] },
                    "at": { "type": "string", "format": "date-time" },
                    "step": { "oneOf": [{ "type": "integer", "minimum": 1.0 },
                        { "type": "string", "enum": ["all"] }] },
                    "env": { "type": "object", "additionalProperties": { "type": "string" } },
                    "inner": { "type": "object", "additionalProperties": false, "properties": {
                        "on": { "type": "boolean" } } },
                },
            },
        } } });
        let schema = json!({ "$ref": "#/components/schemas/Thing" });
        let schema = Schema::read(&document, &schema).unwrap();
        let found = schema.check(value).into_iter();
        found.map(|violation| (violation.field, violation.rule)).collect()
    }

    fn fault(value: Value) -> (String, String) {
        let mut thing = json!({ "name": "a" });
        thing.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        let found = faults(&thing);
        assert_eq!(found.len(), 1, "{found:?}");
        found.into_iter().next().unwrap()
    }

    #[test]
    fn what_fits_passes() {
        let all = json!({
            "name": "web", "share": 0.5, "size": 3, "words": ["a"], "order": "up",
            "env": { "A": "b" }, "inner": { "on": true }, "step": "all", "at": "2026-11-21T00:00:00+01:00",
        });
        assert_eq!(faults(&all), []);
        assert_eq!(faults(&json!({ "name": "web", "share": null, "inner": null })), []);
    }

    #[test]
    fn each_fault_names_the_field_and_the_rule() {
        let told = |field: &str, rule: &str| (field.to_owned(), rule.to_owned());
        assert_eq!(fault(json!({ "name": null })), told("name", "is required"));
        assert_eq!(fault(json!({ "name": "A" })), told("name", SLUG_RULE));
        assert_eq!(fault(json!({ "share": 0.4 })), told("share", "a number from 0.5 to 16"));
        assert_eq!(fault(json!({ "size": 4 })), told("size", "an integer from 0 to 3"));
        assert_eq!(fault(json!({ "size": 1.5 })), told("size", "an integer from 0 to 3"));
        assert_eq!(fault(json!({ "words": ["a", 1] })), told("words.1", "a text"));
        assert_eq!(
            fault(json!({ "words": ["a", "b", "c"] })),
            told("words", "a list of at most 2 entries, each a text")
        );
        assert_eq!(fault(json!({ "order": "left" })), told("order", "one of up, down"));
        for bad in ["2026-13-01T00:00:00Z", "tomorrow", ""] {
            assert_eq!(fault(json!({ "at": bad })), told("at", "a date and time as in RFC 3339"));
        }
        for bad in [json!(0), json!("some"), json!(true)] {
            let rule = "an integer of at least 1, or one of all";
            assert_eq!(fault(json!({ "step": bad })), told("step", rule));
        }
        assert_eq!(fault(json!({ "env": { "A": 1 } })), told("env.A", "a text"));
        assert_eq!(fault(json!({ "env": { "A": null } })), told("env.A", "a text"));
        assert_eq!(fault(json!({ "inner": { "on": 1 } })), told("inner.on", "true or false"));
        assert_eq!(
            fault(json!({ "inner": { "off": 1 } })),
            told("inner.off", "is not a known field")
        );
        assert_eq!(fault(json!({ "nmae": 1 })), told("nmae", "is not a known field"));
        assert_eq!(faults(&json!([])), [told("body", "an object")]);
    }

    #[test]
    fn nonsense_makes_no_endless_answer() {
        let nonsense: Map<String, Value> =
            (0..10_000).map(|n| (format!("{n}{}", "x".repeat(500)), Value::Null)).collect();
        let found = faults(&Value::Object(nonsense));
        assert_eq!(found.len(), MAX_VIOLATIONS);
        assert!(found.iter().all(|(field, _)| field.len() <= MAX_NAME));
    }
}
