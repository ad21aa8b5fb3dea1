//! What poem-openapi does not say, or says awkwardly, put right in the printed document.

use std::collections::BTreeSet;

use model::error::ErrorCode;
use serde_json::{Map, Value, json};

use crate::problem::status_of;
use crate::word::Words as _;

/// The variables of paths. Handlers take them by their scope, so poem-openapi does not see them.
const VARIABLES: &[(&str, &str, &str)] = &[
    ("organization", "string", "Slug or id (`org_…`) of the organization."),
    ("environment", "string", "Slug or id (`env_…`) of the environment."),
    ("app", "string", "Slug or id (`app_…`) of the app."),
    ("deployment", "string", "Id (`dep_…`) of the deployment."),
    ("release", "integer", "Number of the release."),
];

/// Header names as RFCs write them; poem-openapi prints them in capitals.
const HEADERS: &[&str] = &["Location", "Idempotency-Replayed"];

/// Finishes the document.
pub(super) fn finish(mut document: Value) -> Value {
    for (path, method, operation) in operations(&mut document) {
        add_variables(&path, operation);
        require_body(operation);
        finish_responses(&path, &method, operation);
    }
    require_bodies_that_need_fields(&mut document);
    for name in request_schemas(&document) {
        close(&mut document["components"]["schemas"][name]);
    }
    for schema in members(&mut document["components"]["schemas"]) {
        mark_nullable(schema);
    }
    media_types(&mut document);
    document
}

/// Names of the schemas that bodies of requests are made of.
pub(super) fn request_schemas(document: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let paths = document["paths"].as_object().into_iter().flatten();
    for (_, operations) in paths {
        for (_, operation) in operations.as_object().into_iter().flatten() {
            collect(document, &operation["requestBody"], &mut found);
        }
    }
    found
}

fn collect(document: &Value, value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            let reference = map.get("$ref").and_then(Value::as_str);
            if let Some(name) = reference.and_then(|text| text.rsplit('/').next())
                && found.insert(name.to_owned())
            {
                collect(document, &document["components"]["schemas"][name], found);
            }
            map.values().for_each(|value| collect(document, value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| collect(document, value, found)),
        _ => {}
    }
}

fn members(value: &mut Value) -> impl Iterator<Item = &mut Value> {
    value.as_object_mut().into_iter().flat_map(Map::values_mut)
}

fn operations(document: &mut Value) -> impl Iterator<Item = (String, String, &mut Value)> {
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    paths.flat_map(|(path, operations)| {
        let operations = operations.as_object_mut().into_iter().flatten();
        operations.map(|(method, operation)| (path.clone(), method.clone(), operation))
    })
}

fn add_variables(path: &str, operation: &mut Value) {
    let mut parameters: Vec<Value> = VARIABLES
        .iter()
        .filter(|(name, ..)| path.split('/').any(|part| part == format!("{{{name}}}")))
        .map(|(name, kind, about)| {
            json!({
                "name": name, "in": "path", "required": true, "description": about,
                "schema": { "type": kind },
            })
        })
        .collect();
    if let Some(own) = operation["parameters"].as_array() {
        parameters.extend(own.iter().cloned());
    }
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
}

/// A merge patch has a media type of its own (RFC 7396); plain JSON is taken as well.
fn require_body(operation: &mut Value) {
    let content = &mut operation["requestBody"]["content"];
    let patch = members(content).next().is_some_and(|body| {
        body["schema"]["$ref"].as_str().is_some_and(|name| name.ends_with("Patch"))
    });
    if let (true, Some(content)) = (patch, content.as_object_mut())
        && let Some(body) = content.values().next().cloned()
    {
        content.insert("application/merge-patch+json".into(), body);
    }
}

/// A body may be left out where it has no field that is required.
fn require_bodies_that_need_fields(document: &mut Value) {
    let schemas = document["components"]["schemas"].clone();
    for (_, _, operation) in operations(document) {
        let Some(body) = operation.get_mut("requestBody").and_then(Value::as_object_mut) else {
            continue;
        };
        let schema = body["content"].as_object().into_iter().flatten().next();
        let name = schema.and_then(|(_, body)| body["schema"]["$ref"].as_str());
        let name = name.and_then(|name| name.rsplit('/').next()).unwrap_or_default();
        let needs = schemas[name]["required"].as_array().is_some_and(|names| !names.is_empty());
        body.insert("required".into(), needs.into());
    }
}

fn finish_responses(path: &str, method: &str, operation: &mut Value) {
    let keyed = operation["parameters"].as_array().is_some_and(|parameters| {
        parameters.iter().any(|parameter| parameter["name"] == "Idempotency-Key")
    });
    let body = operation["requestBody"].is_object();
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    // One Rust type documents the errors of all operations; here go those that one cannot have.
    responses.retain(|status, _| match status.as_str() {
        "409" => method != "get",
        "413" | "415" => body,
        "422" => keyed,
        "400" | "401" | "403" | "404" | "504" => path.starts_with("/v1"),
        _ => true,
    });
    for (status, response) in responses {
        let codes: Vec<&str> = ErrorCode::ALL
            .iter()
            .filter(|code| status_of(**code).as_str() == status)
            .filter(|code| **code != ErrorCode::MethodNotAllowed)
            .map(|code| code.text())
            .collect();
        if !codes.is_empty() {
            response["description"] = format!("Codes: `{}`.", codes.join("`, `")).into();
        }
        rename(&mut response["headers"], |name| {
            HEADERS.iter().find(|known| known.eq_ignore_ascii_case(name)).map(|name| (*name).into())
        });
    }
}

/// Unknown fields are refused, and the schema says so.
fn close(schema: &mut Value) {
    if schema["properties"].is_object() {
        schema["additionalProperties"] = false.into();
    }
}

/// A field that is not required may be null: absent in a request, and so answered.
fn mark_nullable(schema: &mut Value) {
    let required: BTreeSet<String> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    for (name, property) in properties {
        if required.contains(name) {
            continue;
        }
        if property["$ref"].is_string() {
            // What stands beside a $ref is ignored in OpenAPI 3.0.
            *property = json!({ "allOf": [property.clone()] });
        }
        property["nullable"] = true.into();
    }
}

/// `charset` is no parameter of `application/json` (RFC 8259), and generators look for the bare type.
fn media_types(value: &mut Value) {
    if let Some(content) = value.get_mut("content") {
        rename(content, |name| name.strip_suffix("; charset=utf-8").map(str::to_owned));
    }
    match value {
        Value::Object(map) => map.values_mut().for_each(media_types),
        Value::Array(list) => list.iter_mut().for_each(media_types),
        _ => {}
    }
}

fn rename(value: &mut Value, name: impl Fn(&str) -> Option<String>) {
    if let Some(map) = value.as_object_mut() {
        *map = std::mem::take(map)
            .into_iter()
            .map(|(key, value)| (name(&key).unwrap_or(key), value))
            .collect();
    }
}
