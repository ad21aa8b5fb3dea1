//! What poem-openapi does not say, or says awkwardly, put right in the printed document.

use std::collections::BTreeSet;

use model::error::ErrorCode;
use model::policy::access::Action;
use serde_json::{Map, Value, json};

use super::shared::{Shared, tell_rates};
use crate::access::action::Needs;
use crate::problem::{status_of, title_of};
use crate::schema::ANY_TEXT;
use crate::word::Words as _;

/// The variables of paths. Handlers take them by their scope, so poem-openapi does not see them.
const VARIABLES: &[(&str, &str, &str)] = &[
    ("organization", "string", "Slug or id (`org_…`) of the organization."),
    ("environment", "string", "Slug or id (`env_…`) of the environment."),
    ("app", "string", "Slug or id (`app_…`) of the app."),
    ("secret", "string", "Name or id (`sec_…`) of the secret."),
    (
        "registry",
        "string",
        "Host of the registry, as images name it (`ghcr.io`, `docker.io`), or id (`cred_…`) of the credential.",
    ),
    ("config", "string", "Name or id (`sec_…`) of the config."),
    ("deployment", "string", "Id (`dep_…`) of the deployment."),
    ("token", "string", "Id (`tok_…`) of the token."),
    ("user", "string", "Id (`usr_…`) of the person."),
    ("session", "string", "Id (`tok_…`) of the session."),
    ("member", "string", "Id (`mem_…`) of the membership."),
    ("invitation", "string", "Id (`inv_…`) of the invitation."),
    ("pool", "string", "Id (`pool_…`) of the subnet pool."),
    ("reserved_range", "string", "Id (`rng_…`) of the reserved range."),
    ("check", "string", "Id (`chk_…`) of the isolation check."),
    ("plan", "string", "Name of the plan."),
    ("release", "integer", "Number of the release."),
];

/// What tries a password, and has to wait after too many wrong ones.
const TRIES: &[&str] = &["session_create", "password_change"];

/// Header names as RFCs write them; poem-openapi prints them in capitals.
const HEADERS: &[&str] = &["Location", "ETag", "Idempotency-Replayed"];

/// Finishes the document.
pub(super) fn finish(mut document: Value) -> Value {
    let schemas = document["components"]["schemas"].clone();
    let mut shared = Shared::default();
    for (path, method, operation) in operations(&mut document) {
        add_variables(&path, operation);
        add_page(operation);
        add_filter(operation);
        add_log(operation);
        finish_body(&schemas, operation);
        finish_responses(&path, &method, operation, &mut shared);
    }
    shared.say(&mut document);
    for name in request_schemas(&document) {
        close(&mut document["components"]["schemas"][name]);
    }
    for schema in members(document.pointer_mut("/components/schemas")) {
        mark_nullable(schema);
    }
    let schemes =
        document.pointer_mut("/components/securitySchemes").and_then(Value::as_object_mut);
    for (name, scheme) in schemes.into_iter().flatten() {
        scheme["description"] = takes(name).into();
    }
    if let Some(Value::String(about)) = document.pointer_mut("/info/description") {
        about.push_str(&problem_table());
    }
    finish_everywhere(&mut document);
    document
}

/// What an action takes, by its name.
fn takes(name: &str) -> String {
    let Ok(action) = name.parse::<Action>() else {
        return match Needs::Session.name() == name {
            true => "Takes the session of a person: a token that a login made.".into(),
            false => "Takes any token of a person: it is their own.".into(),
        };
    };
    let words = |names: Vec<&str>| match names.as_slice() {
        [] => "nobody".to_owned(),
        names => names.join(", "),
    };
    let roles = words(action.roles().iter().map(|role| role.as_str()).collect());
    let platform = words(action.platform_roles().iter().map(|role| role.as_str()).collect());
    format!(
        "Takes a token with the scope `{}`. Roles in the organization: {roles}. Roles in the platform: \
         {platform}.",
        action.scope()
    )
}

/// The codes of problems, as a table in Markdown.
fn problem_table() -> String {
    let rows = ErrorCode::ALL.iter().map(|code| {
        format!("| `{code}` | {} | {} |\n", status_of(*code).as_u16(), title_of(*code))
    });
    let head = "\n\n## Problems\n\n| code | status | meaning |\n|---|---|---|\n";
    head.to_owned() + &rows.collect::<String>()
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

fn members(value: Option<&mut Value>) -> impl Iterator<Item = &mut Value> {
    value.and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut)
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

/// A list takes its page by an extractor that poem-openapi does not see either.
fn add_page(operation: &mut Value) {
    let answer = operation.pointer("/responses/200/content").and_then(Value::as_object);
    let schema = answer.and_then(|media| media.values().next()?["schema"]["$ref"].as_str());
    if schema.is_some_and(|schema| schema.contains("/Page_")) {
        let mut parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        parameters.extend(crate::page::parameters());
        operation["parameters"] = parameters.into();
    }
}

/// So does a reading of the audit log with what it asks for.
fn add_filter(operation: &mut Value) {
    let of_all = match operation["operationId"].as_str() {
        Some("audit_list" | "audit_export") => false,
        Some("platform_audit_list" | "platform_audit_export") => true,
        _ => return,
    };
    let mut parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    parameters.extend(crate::endpoints::audit::parameters(of_all));
    operation["parameters"] = parameters.into();
}

/// And so does a log.
fn add_log(operation: &mut Value) {
    if let Some("app_logs" | "deployment_logs") = operation["operationId"].as_str() {
        let mut parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        parameters.extend(crate::endpoints::logs::parameters());
        operation["parameters"] = parameters.into();
        // Of several forms of one answer poem-openapi keeps the last.
        let form = |media: &str| {
            (media.to_owned(), json!({ "schema": { "type": "string", "format": "binary" } }))
        };
        let forms = ["text/plain", "application/jsonl", "text/event-stream"].map(form);
        operation["responses"]["200"]["content"] = forms.into_iter().collect::<Map<_, _>>().into();
    }
}

/// A body may be left out where it has no field that is required. A merge patch has a media type of
/// its own (RFC 7396); plain JSON is taken as well.
fn finish_body(schemas: &Value, operation: &mut Value) {
    let Some(body) = operation.get_mut("requestBody") else { return };
    let media = members(body.get_mut("content")).next().cloned().unwrap_or_default();
    let name = media["schema"]["$ref"].as_str().and_then(|name| name.rsplit('/').next());
    let name = name.unwrap_or_default();
    let needs = schemas[name]["required"].as_array().is_some_and(|names| !names.is_empty());
    body["required"] = needs.into();
    if name.ends_with("Patch") {
        body["content"]["application/merge-patch+json"] = media;
    }
}

fn finish_responses(path: &str, method: &str, operation: &mut Value, shared: &mut Shared) {
    let takes = |name: &str| {
        let parameters = operation["parameters"].as_array();
        parameters.is_some_and(|all| all.iter().any(|parameter| parameter["name"] == name))
    };
    let (keyed, conditional) = (takes("Idempotency-Key"), takes("If-Match"));
    let body = operation.get("requestBody").is_some();
    let asks = operation["security"].is_array();
    let tries = TRIES.iter().any(|tries| operation["operationId"] == *tries);
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    // One Rust type documents the errors of all operations; here go those that one cannot have.
    responses.retain(|status, _| match status.as_str() {
        "409" => method != "get",
        "408" | "413" | "415" => body,
        "412" => conditional,
        "422" => keyed,
        "403" => asks || tries || path == "/v1/invitations/accept",
        "401" | "404" | "429" | "504" => path.starts_with("/v1"),
        _ => true,
    });
    for (status, response) in responses {
        if path.starts_with("/v1") {
            tell_rates(response);
        }
        let codes: Vec<&str> = ErrorCode::ALL
            .iter()
            .filter(|code| status_of(**code).as_str() == status)
            .filter(|code| **code != ErrorCode::MethodNotAllowed)
            .filter(|code| tries || **code != ErrorCode::TooManyAttempts)
            .map(|code| code.text())
            .collect();
        if !codes.is_empty() {
            response["description"] = format!("Codes: `{}`.", codes.join("`, `")).into();
        }
        rename(response.get_mut("headers"), |name| {
            HEADERS.iter().find(|known| known.eq_ignore_ascii_case(name)).map(|name| (*name).into())
        });
        if path.starts_with("/v1") {
            shared.refer(status, response);
        }
    }
}

/// Unknown fields are refused, and so is NUL in any text; the schema says so.
fn close(schema: &mut Value) {
    if schema.get("properties").is_some() {
        schema["additionalProperties"] = false.into();
    }
    // A fourth decimal would come back as another number (`spec::cpu_millis`).
    if let Some(cpu) = schema.pointer_mut("/properties/cpu") {
        cpu["multipleOf"] = json!(0.001);
    }
    without_nul(schema);
}

fn without_nul(schema: &mut Value) {
    let has = |name| schema.get(name).is_some();
    if schema.get("type").is_some_and(|kind| kind == "string")
        && !has("pattern")
        && !has("enum")
        && !has("format")
    {
        schema["pattern"] = ANY_TEXT.into();
    }
    members(schema.get_mut("properties")).for_each(without_nul);
    for name in ["items", "additionalProperties"] {
        schema.get_mut(name).filter(|inner| inner.is_object()).into_iter().for_each(without_nul);
    }
}

/// A field that is not required may be null: absent in a request, and so answered.
fn mark_nullable(schema: &mut Value) {
    let required: BTreeSet<String> = schema
        .get("required")
        .and_then(Value::as_array)
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
        if property.get("$ref").is_some() {
            // What stands beside a $ref is ignored in OpenAPI 3.0.
            *property = json!({ "allOf": [property.clone()] });
        }
        property["nullable"] = true.into();
    }
}

/// What is awkward wherever it stands.
fn finish_everywhere(value: &mut Value) {
    // `charset` is no parameter of `application/json` (RFC 8259); generators look for the bare type.
    rename(value.get_mut("content"), |name| {
        name.strip_suffix("; charset=utf-8").map(str::to_owned)
    });
    // What poem-openapi says of a field beside its type's schema, it says within `allOf` once more.
    if let Some(all) = value.get_mut("allOf").and_then(Value::as_array_mut) {
        all.retain(|part| part.get("$ref").is_some());
    }
    match value {
        Value::Object(map) => map.values_mut().for_each(finish_everywhere),
        Value::Array(list) => list.iter_mut().for_each(finish_everywhere),
        _ => {}
    }
}

fn rename(value: Option<&mut Value>, name: impl Fn(&str) -> Option<String>) {
    if let Some(map) = value.and_then(Value::as_object_mut) {
        *map = std::mem::take(map)
            .into_iter()
            .map(|(key, value)| (name(&key).unwrap_or(key), value))
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::shared::resolved;

    fn operation() -> Value {
        json!({ "security": [{ "token": [] }], "responses": {
            "200": { "headers": { "LOCATION": {} },
                "content": { "application/json; charset=utf-8": {} } },
            "400": {}, "403": {}, "409": {}, "413": {}, "422": {} } })
    }

    #[test]
    fn an_operation_keeps_the_errors_that_it_can_have() {
        let mut document = json!({ "components": { "schemas": {} }, "paths": {
            "/v1/apps/{app}": { "get": operation(), "delete": operation() } } });
        document = finish(document);
        let get = &document["paths"]["/v1/apps/{app}"]["get"];
        let statuses: Vec<&String> = get["responses"].as_object().unwrap().keys().collect();
        assert_eq!(statuses, ["200", "400", "403"]);
        let problem = resolved(&document, &get["responses"]["400"]);
        assert_eq!(problem["description"], "Codes: `invalid`.");
        assert!(get["responses"]["200"]["headers"]["Location"].is_object());
        assert!(get["responses"]["200"]["content"]["application/json"].is_object());
        assert_eq!(get["parameters"][0]["name"], "app");
        let delete = &document["paths"]["/v1/apps/{app}"]["delete"]["responses"];
        assert!(delete["409"].is_object());
    }

    #[test]
    fn what_is_optional_may_be_null_and_what_is_sent_is_closed() {
        let media = json!({ "schema": { "$ref": "#/components/schemas/A" } });
        let document = finish(json!({
            "components": { "schemas": {
                "A": { "required": ["a"], "properties": {
                    "a": { "type": "string" }, "b": { "$ref": "#/components/schemas/B" } } },
                "B": { "properties": { "c": { "type": "string" } } },
                "C": { "properties": { "d": { "type": "string" } } },
            } },
            "paths": { "/v1": { "post": { "requestBody": { "content": { "x": media } } } } },
        }));
        let schemas = &document["components"]["schemas"];
        assert_eq!(schemas["A"]["properties"]["a"].get("nullable"), None);
        assert_eq!(schemas["A"]["properties"]["b"]["nullable"], true);
        assert_eq!(schemas["A"]["additionalProperties"], false);
        assert_eq!(schemas["B"]["additionalProperties"], false);
        assert_eq!(schemas["C"].get("additionalProperties"), None);
        assert_eq!(document["paths"]["/v1"]["post"]["requestBody"]["required"], true);
    }
}
