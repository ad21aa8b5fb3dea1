//! What differs between two forms of an app: which fields, and what they were and are. Pure; it knows
//! nothing of specs, so that a field which the spec gains shows from that day.

use serde_json::{Map, Value};

/// One field that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Path of the field, dotted (`health_check.http.path`).
    pub path: String,
    /// What it was; `None`: it was not there.
    pub before: Option<Value>,
    /// What it is; `None`: it is not there.
    pub after: Option<Value>,
}

/// The fields that differ, by path. Objects are compared field by field; lists whole, because a patch
/// replaces them whole. What is null is not there.
pub fn diff(before: &Value, after: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    visit(&mut String::new(), Some(before), Some(after), &mut found);
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

fn visit(
    path: &mut String,
    before: Option<&Value>,
    after: Option<&Value>,
    found: &mut Vec<Change>,
) {
    let before = before.filter(|value| !value.is_null());
    let after = after.filter(|value| !value.is_null());
    let none = Map::new();
    match (before, after) {
        (before, after) if before == after => {}
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            visit_fields(path, before, after, found);
        }
        // One that comes or goes is told field by field, too: so each line is one value.
        (Some(Value::Object(before)), None) => visit_fields(path, before, &none, found),
        (None, Some(Value::Object(after))) => visit_fields(path, &none, after, found),
        (before, after) => found.push(Change {
            path: path.clone(),
            before: before.cloned(),
            after: after.cloned(),
        }),
    }
}

fn visit_fields(
    path: &mut String,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    found: &mut Vec<Change>,
) {
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    for name in gone.chain(after.keys()) {
        let length = path.len();
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
        visit(path, before.get(name), after.get(name), found);
        path.truncate(length);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(before: Value, after: Value) -> Vec<(String, Value, Value)> {
        let told = |value: Option<Value>| value.unwrap_or_else(|| "nothing".into());
        diff(&before, &after)
            .into_iter()
            .map(|change| (change.path, told(change.before), told(change.after)))
            .collect()
    }

    fn line(path: &str, before: Value, after: Value) -> (String, Value, Value) {
        (path.to_owned(), before, after)
    }

    #[test]
    fn the_same_differs_in_nothing() {
        let spec = json!({ "image": "web:v1", "env": { "A": "1" }, "command": null, "tmpfs": [] });
        assert_eq!(told(spec.clone(), spec.clone()), []);
        let without = json!({ "image": "web:v1", "env": { "A": "1" }, "tmpfs": [] });
        assert_eq!(told(spec.clone(), without.clone()), [], "null is not there");
        assert_eq!(told(without, spec), []);
    }

    #[test]
    fn each_field_is_told_with_what_it_was_and_is() {
        let before = json!({ "image": "web:v1", "cpu": 0.5, "env": { "A": "1", "B": "2" } });
        let after =
            json!({ "image": "web:v2", "cpu": 0.5, "env": { "A": "1", "C": "3" }, "port": 80 });
        assert_eq!(
            told(before, after),
            [
                line("env.B", "2".into(), "nothing".into()),
                line("env.C", "nothing".into(), "3".into()),
                line("image", "web:v1".into(), "web:v2".into()),
                line("port", "nothing".into(), 80.into()),
            ]
        );
    }

    #[test]
    fn what_comes_or_goes_is_told_field_by_field() {
        let check = json!({ "health_check": { "http": { "path": "/" }, "retries": 3 } });
        let lines = told(check.clone(), json!({ "health_check": null }));
        assert_eq!(
            lines,
            [
                line("health_check.http.path", "/".into(), "nothing".into()),
                line("health_check.retries", 3.into(), "nothing".into()),
            ]
        );
        let back: Vec<_> = told(json!({}), check).into_iter().map(|(path, ..)| path).collect();
        assert_eq!(back, ["health_check.http.path", "health_check.retries"]);
    }

    #[test]
    fn a_list_is_one_value_and_another_type_is_another_value() {
        assert_eq!(
            told(json!({ "args": ["a", "b"] }), json!({ "args": ["a", "c"] })),
            [line("args", json!(["a", "b"]), json!(["a", "c"]))]
        );
        assert_eq!(
            told(json!({ "a": { "b": 1 } }), json!({ "a": 1 })),
            [line("a", json!({ "b": 1 }), 1.into())]
        );
    }

    #[test]
    fn there_and_back_is_the_same_turned_round() {
        let (one, other) = (
            json!({ "a": 1, "b": { "c": [1], "d": null }, "e": "x" }),
            json!({ "a": 2, "b": { "c": [2], "d": true } }),
        );
        let back: Vec<_> = told(other.clone(), one.clone())
            .into_iter()
            .map(|(path, before, after)| (path, after, before))
            .collect();
        assert_eq!(told(one, other), back);
    }
}
