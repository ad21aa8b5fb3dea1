//! Whether one OpenAPI document keeps what another one promised: every request that was taken is taken
//! still, and every answer still holds what callers read in it. What is new breaks nothing: callers have to
//! pass over fields and words that they do not know (docs/api.md says so).

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// What the document `new` breaks of what `old` promised, each as a sentence.
pub fn breaches(old: &Value, new: &Value) -> Vec<String> {
    let mut found = Found { old, new, seen: BTreeSet::new(), sentences: Vec::new() };
    for (path, operations) in members(&old["paths"]) {
        for (method, before) in members(operations) {
            let place = format!("{} {path}", method.to_uppercase());
            let after = &new["paths"][path][method];
            if after.is_null() {
                found.tell(&place, "is gone");
            } else {
                found.operation(&place, before, after);
            }
        }
    }
    found.sentences
}

/// Which way a value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    In,
    Out,
}

struct Found<'a> {
    old: &'a Value,
    new: &'a Value,
    /// Pairs of named schemas that were compared, or are being.
    seen: BTreeSet<(Way, String, String)>,
    sentences: Vec<String>,
}

/// Bounds, with whether a larger one takes less.
const BOUNDS: &[(&str, bool)] = &[
    ("minimum", true),
    ("minLength", true),
    ("minItems", true),
    ("maximum", false),
    ("maxLength", false),
    ("maxItems", false),
    ("maxProperties", false),
];

impl Found<'_> {
    fn tell(&mut self, place: &str, what: &str) {
        self.sentences.push(format!("{place} {what}"));
    }

    fn operation(&mut self, place: &str, old: &Value, new: &Value) {
        if old["operationId"] != new["operationId"] {
            self.tell(place, "has another operationId: generated clients call it by that");
        }
        for before in list(&old["parameters"]) {
            let place = format!("{place}: parameter {}", before["name"]);
            match same_parameter(new, before) {
                None => self.tell(&place, "is gone"),
                Some(after) => {
                    self.becomes_required(&place, before, after);
                    self.schema(Way::In, &place, &before["schema"], &after["schema"]);
                }
            }
        }
        for after in list(&new["parameters"]) {
            if after["required"] == true && same_parameter(old, after).is_none() {
                self.tell(&format!("{place}: parameter {}", after["name"]), "is new and required");
            }
        }
        let (before, after) = (&old["requestBody"], &new["requestBody"]);
        let body = format!("{place}: the body");
        self.becomes_required(&body, before, after);
        self.content(Way::In, &body, before, after);
        for (status, before) in members(&old["responses"]) {
            let place = format!("{place}: {status}");
            if new["responses"][status].is_null() {
                self.tell(&place, "is gone");
                continue;
            }
            let before = said(self.old, before);
            let after = said(self.new, &new["responses"][status]);
            for (name, _) in members(&before["headers"]) {
                if after["headers"][name].is_null() {
                    self.tell(&format!("{place}: header {name}"), "is gone");
                }
            }
            self.content(Way::Out, &place, before, after);
        }
    }

    fn becomes_required(&mut self, place: &str, old: &Value, new: &Value) {
        if new["required"] == true && old["required"] != true {
            self.tell(place, "is required now");
        }
    }

    fn content(&mut self, way: Way, place: &str, old: &Value, new: &Value) {
        for (media_type, before) in members(&old["content"]) {
            let place = format!("{place} as {media_type}");
            match new["content"].get(media_type) {
                Some(after) => self.schema(way, &place, &before["schema"], &after["schema"]),
                None => self.tell(&place, "is gone"),
            }
        }
    }

    fn schema(&mut self, way: Way, place: &str, old: &Value, new: &Value) {
        if let (Some(before), Some(after)) = (reference(old), reference(new))
            && !self.seen.insert((way, before.to_owned(), after.to_owned()))
        {
            return;
        }
        let (before, after) = (resolved(self.old, old), resolved(self.new, new));
        let was = |name: &str| before.get(name).unwrap_or(&Value::Null);
        let is = |name: &str| after.get(name).unwrap_or(&Value::Null);
        if was("type") != is("type")
            && !(way == Way::In && is("type").is_null() && is("oneOf").is_null())
        {
            self.tell(place, "is of another type");
            return;
        }
        if was("format") != is("format") {
            self.tell(place, "is of another format");
        }
        let nullable = |value: &Value| value == true;
        let (could, can) = (nullable(was("nullable")), nullable(is("nullable")));
        match way {
            Way::In if could && !can => self.tell(place, "may not be null any more"),
            Way::Out if !could && can => self.tell(place, "may be null now"),
            _ => {}
        }
        self.words(way, place, was("enum"), is("enum"));
        if way == Way::In {
            self.bounds(place, &before, &after);
        }
        self.object(way, place, &before, &after);
        if !was("items").is_null() {
            self.schema(way, &format!("{place}.*"), was("items"), is("items"));
        }
        for form in list(was("oneOf")) {
            let fits = list(is("oneOf")).iter().any(|other| {
                let mut tried = Found {
                    old: self.old,
                    new: self.new,
                    seen: BTreeSet::new(),
                    sentences: vec![],
                };
                tried.schema(way, place, form, other);
                tried.sentences.is_empty()
            });
            if !fits {
                self.tell(place, "has lost one of its forms");
            }
        }
    }

    fn words(&mut self, way: Way, place: &str, old: &Value, new: &Value) {
        let (before, after) = (list(old), list(new));
        for word in before.iter().filter(|word| !after.is_empty() && !after.contains(word)) {
            self.tell(place, &format!("is {word} no more"));
        }
        if way == Way::In && before.is_empty() && !after.is_empty() {
            self.tell(place, "is one of a few words now");
        }
    }

    fn bounds(&mut self, place: &str, old: &Map<String, Value>, new: &Map<String, Value>) {
        for (name, larger_takes_less) in BOUNDS {
            let bound = |map: &Map<String, Value>| map.get(*name).and_then(Value::as_f64);
            let narrower = match (bound(old), bound(new)) {
                (Some(old), Some(new)) => {
                    if *larger_takes_less {
                        new > old
                    } else {
                        new < old
                    }
                }
                (None, Some(new)) => !(*larger_takes_less && new <= 0.0),
                (_, None) => false,
            };
            if narrower {
                self.tell(place, &format!("has a narrower {name}"));
            }
        }
        for name in ["pattern", "multipleOf"] {
            if new.get(name).is_some() && old.get(name) != new.get(name) {
                self.tell(place, &format!("has another {name}"));
            }
        }
    }

    fn object(
        &mut self,
        way: Way,
        place: &str,
        old: &Map<String, Value>,
        new: &Map<String, Value>,
    ) {
        let required = |map: &Map<String, Value>| -> BTreeSet<String> {
            let names = map.get("required").map(list).unwrap_or_default();
            names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
        };
        let (before, after) = (required(old), required(new));
        let (fewer, more) = match way {
            Way::In => (BTreeSet::new(), &after - &before),
            Way::Out => (&before - &after, BTreeSet::new()),
        };
        let none = Value::Null;
        let fields = new.get("properties").unwrap_or(&none);
        for (name, field) in members(old.get("properties").unwrap_or(&none)) {
            let place = format!("{place}.{name}");
            match fields.get(name) {
                None => self.tell(&place, "is gone"),
                Some(_) if fewer.contains(name) => self.tell(&place, "may be left out now"),
                Some(after) => self.schema(way, &place, field, after),
            }
        }
        for name in more {
            self.tell(&format!("{place}.{name}"), "is required now");
        }
        match (old.get("additionalProperties"), new.get("additionalProperties")) {
            (Some(before @ Value::Object(_)), Some(after @ Value::Object(_))) => {
                self.schema(way, &format!("{place}.*"), before, after);
            }
            (Some(Value::Object(_)), _) if way == Way::Out => {
                self.tell(place, "holds no other fields any more")
            }
            (before, Some(Value::Bool(false)))
                if way == Way::In && before != Some(&Value::Bool(false)) =>
            {
                self.tell(place, "takes no other fields any more");
            }
            _ => {}
        }
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A response, or the shared one that it refers to.
fn said<'a>(document: &'a Value, response: &'a Value) -> &'a Value {
    let pointer = reference(response).and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(response)
}

fn same_parameter<'a>(operation: &'a Value, wanted: &Value) -> Option<&'a Value> {
    let parameters = list(&operation["parameters"]).iter();
    let mut same =
        parameters.filter(|one| one["in"] == wanted["in"] && one["name"] == wanted["name"]);
    same.next()
}

fn reference(schema: &Value) -> Option<&str> {
    schema.get("$ref").and_then(Value::as_str)
}

/// A schema with its `$ref` and `allOf` written out.
fn resolved(document: &Value, schema: &Value) -> Map<String, Value> {
    let mut map = Map::new();
    if let Some(pointer) = reference(schema).and_then(|text| text.strip_prefix('#')) {
        map = resolved(document, document.pointer(pointer).unwrap_or(&Value::Null));
    }
    for part in list(&schema["allOf"]) {
        map.extend(resolved(document, part));
    }
    map.extend(members(schema).map(|(name, value)| (name.clone(), value.clone())));
    map
}
