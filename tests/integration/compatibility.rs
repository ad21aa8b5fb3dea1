//! The API keeps what it has promised: the document of this build against that of the last release, which
//! `docs/openapi.baseline.json` keeps.

use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};
use tests::Outcome;
use tests::compatibility::breaches;
use tests::environment::is_set;

fn document() -> Value {
    api::openapi_document().parse().unwrap_or_default()
}

#[test]
fn openapi_compatible() -> Outcome {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.baseline.json");
    if is_set("SKEP_UPDATE_BASELINE") {
        std::fs::write(&path, format!("{}\n", document()))?;
    }
    let kept = std::fs::read_to_string(&path).context("docs/openapi.baseline.json")?;
    let found = breaches(&serde_json::from_str(&kept)?, &document());
    assert!(
        found.is_empty(),
        "callers of the last release would break:\n{}\nA release that is meant to break them has another version in \
         its paths; SKEP_UPDATE_BASELINE=1 ./dev test openapi_compatible begins a new baseline at a release",
        found.join("\n"),
    );
    Ok(())
}

const APPS: &str = "/paths/~1v1~1organizations~1{organization}~1environments~1{environment}~1apps";

#[test]
fn each_breach_is_found() {
    type Change = fn(&mut Value);
    let post = |rest: &str| format!("{APPS}/post{rest}");
    let get = |rest: &str| format!("{APPS}/get{rest}");
    let schema = |rest: &str| format!("/components/schemas/{rest}");
    let cases: Vec<(String, Change, &str)> = vec![
        (
            "/paths".into(),
            |paths| remove(paths, "/v1/organizations"),
            "GET /v1/organizations is gone",
        ),
        (APPS.into(), |path| remove(path, "post"), "apps is gone"),
        (get("/operationId"), |id| *id = "apps".into(), "has another operationId"),
        (get("/parameters"), |all| drop_named(all, "limit"), "parameter \"limit\" is gone"),
        (
            get("/parameters"),
            |all| named(all, "limit")["required"] = true.into(),
            "is required now",
        ),
        (
            get("/parameters"),
            |all| {
                let new = json!({ "name": "x", "in": "query", "required": true, "schema": {} });
                all.as_array_mut().unwrap().push(new);
            },
            "parameter \"x\" is new and required",
        ),
        (
            get("/parameters"),
            |all| named(all, "limit")["schema"]["maximum"] = 99.into(),
            "narrower maximum",
        ),
        (
            get("/parameters"),
            |all| named(all, "limit")["schema"]["minimum"] = 2.into(),
            "narrower minimum",
        ),
        (
            get("/parameters"),
            |all| named(all, "organization")["schema"]["pattern"] = "^a".into(),
            "another pattern",
        ),
        (
            get("/parameters"),
            |all| named(all, "organization")["schema"]["maxLength"] = 5.into(),
            "narrower maxLength",
        ),
        (post("/responses"), |all| remove(all, "409"), "409 is gone"),
        (post("/responses/201/headers"), |all| remove(all, "Location"), "header Location is gone"),
        (
            post("/responses/201/content"),
            |all| *all = json!({ "text/plain": {} }),
            "as application/json is gone",
        ),
        (
            "/paths/~1v1~1organizations~1{organization}~1resume/post".into(),
            |post| post["requestBody"] = json!({ "required": true }),
            "the body is required now",
        ),
        (schema("AppCreate/properties"), |all| remove(all, "replicas"), ".replicas is gone"),
        (
            schema("AppCreate/required"),
            |all| all.as_array_mut().unwrap().push("replicas".into()),
            ".replicas is required now",
        ),
        (
            schema("AppCreate/properties/replicas/nullable"),
            |is| *is = false.into(),
            "may not be null any more",
        ),
        (
            schema("AppCreate/properties/replicas/type"),
            |is| *is = "string".into(),
            "is of another type",
        ),
        (
            schema("AppCreate/properties/replicas/format"),
            |is| *is = "int64".into(),
            "is of another format",
        ),
        (schema("AppCreate/properties/env"), |env| remove(env, "additionalProperties"), ""),
        (
            schema("UpdateOrder/enum"),
            |all| *all = json!(["start-first"]),
            "is \"stop-first\" no more",
        ),
        (schema("DeploymentStatus/enum"), |all| drop(all.as_array_mut().unwrap().pop()), "no more"),
        (schema("App/properties"), |all| remove(all, "slug"), ".slug is gone"),
        (schema("App/required"), |all| all.as_array_mut().unwrap().clear(), "may be left out now"),
        (schema("App/properties/slug/type"), |is| *is = "integer".into(), "is of another type"),
        (schema("App/properties/slug"), |slug| slug["nullable"] = true.into(), "may be null now"),
        (
            schema("Page_AppSummary/properties/items/items"),
            |items| *items = json!({ "type": "string" }),
            "another type",
        ),
        (schema("AppPatch"), |patch| patch["maxProperties"] = 3.into(), "narrower maxProperties"),
    ];
    let before = document();
    assert_eq!(breaches(&before, &before), Vec::<String>::new());
    for (pointer, change, told) in cases {
        let mut after = before.clone();
        change(after.pointer_mut(&pointer).unwrap_or_else(|| panic!("no {pointer}")));
        let found = breaches(&before, &after);
        if told.is_empty() {
            assert_eq!(found, Vec::<String>::new(), "{pointer}");
        } else {
            assert!(found.iter().any(|one| one.contains(told)), "{pointer}: {told}: {found:?}");
        }
    }
}

#[test]
fn what_is_new_breaks_nothing() {
    let before = document();
    let mut after = before.clone();
    let schemas = &mut after["components"]["schemas"];
    schemas["App"]["properties"]["new"] = json!({ "type": "string" });
    schemas["AppCreate"]["properties"]["new"] = json!({ "type": "string", "nullable": true });
    schemas["DeploymentStatus"]["enum"].as_array_mut().unwrap().push("new".into());
    schemas["AppCreate"]["properties"]["replicas"]["maximum"] = 1000.into();
    after["paths"]["/v1/new"] =
        json!({ "get": { "parameters": [{ "name": "x", "required": true }] } });
    let list = after.pointer_mut(&format!("{APPS}/get")).unwrap();
    list["responses"]["418"] = json!({});
    list["parameters"].as_array_mut().unwrap().push(json!({ "name": "new", "in": "query" }));
    assert_eq!(breaches(&before, &after), Vec::<String>::new());
}

fn remove(map: &mut Value, name: &str) {
    let gone = map.as_object_mut().and_then(|map| map.remove(name));
    assert!(gone.is_some(), "no {name}");
}

fn named<'a>(list: &'a mut Value, name: &str) -> &'a mut Value {
    let all = list.as_array().into_iter().flatten();
    let place = all.take_while(|one| one["name"] != name).count();
    &mut list[place]
}

fn drop_named(list: &mut Value, name: &str) {
    if let Some(all) = list.as_array_mut() {
        all.retain(|one| one["name"] != name);
    }
}
