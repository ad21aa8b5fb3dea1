//! Property tests of what reads input from outside in this crate: nothing makes it panic, and what it writes of what it
//! read, it reads again as the same. docs/api.md lists them all.

use model::email::Email;
use poem::http::{HeaderMap, HeaderValue, header};
use poem::{Request, RequestBody};
use poem_openapi::types::{ParseFromJSON as _, ToJSON as _};
use poem_openapi::{ApiExtractor, ExtractParamOptions};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::document::document;
use crate::endpoints::apps::{AppCreate, AppPatch};
use crate::endpoints::deployments::DeploymentCreate;
use crate::endpoints::users::UserCreate;
use crate::entity_tag::{IfMatch, IfNoneMatch};
use crate::idempotency::Key;
use crate::spec::AppSpec;
use crate::{body, json, middleware, page};

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(Value::from),
        "[^\0]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map("[^\0]{0,8}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A spec whose fields are of the right kind more often than not.
fn near_spec() -> impl Strategy<Value = Value> {
    let fields = document_fields("AppCreate");
    prop::collection::vec((prop::sample::select(fields), near_value()), 0..8).prop_map(|pairs| {
        let mut spec = json!({ "slug": "web", "image": "web:v1" });
        spec.as_object_mut().unwrap().extend(pairs);
        spec
    })
}

fn near_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any_json(),
        (-2i64..70_000).prop_map(Value::from),
        (0.0..20.0f64).prop_map(Value::from),
        Just(json!({ "http": { "path": "/x", "port": 80 }, "interval": 1, "timeout": 1 })),
        Just(json!({ "tcp": { "port": 80 }, "command": ["/x"] })),
        ("[a-z]{1,4}", 0i64..40_000).prop_map(|(name, n)| json!({ name: n })),
        (0i64..8000).prop_map(|n| json!({ "schedule": n, "healthy": n, "progress": n })),
        (0i64..20).prop_map(|n| json!({ "preset": "fast", "delay": n, "monitor": n })),
        "[ -~]{0,20}".prop_map(|text| json!([text])),
        "[ -~]{0,20}".prop_map(Value::from),
    ]
}

fn document_fields(schema: &str) -> Vec<String> {
    let value: Value = serde_json::from_str(document().text()).unwrap();
    value["components"]["schemas"][schema]["properties"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect()
}

fn request(name: header::HeaderName, values: &[Vec<u8>]) -> (Request, RequestBody) {
    let mut request = Request::default();
    for value in values.iter().filter_map(|value| HeaderValue::from_bytes(value).ok()) {
        request.headers_mut().append(name.clone(), value);
    }
    request.split()
}

fn extracted<T>(name: header::HeaderName, values: &[Vec<u8>]) -> bool
where
    T: for<'a> ApiExtractor<'a, ParamType = String>,
{
    let (request, mut body) = request(name, values);
    let read = T::from_request(&request, &mut body, ExtractParamOptions::default());
    futures::executor::block_on(read).is_ok()
}

proptest! {
    #[test]
    fn json_is_read_as_it_is_written(value in any_json()) {
        let text = value.to_string();
        prop_assert_eq!(json::parse(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(&text).unwrap());
    }

    #[test]
    fn bytes_are_json_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(value) = json::parse(&bytes) {
            prop_assert_eq!(value, serde_json::from_slice::<Value>(&bytes).unwrap());
        }
    }

    #[test]
    fn specs_are_read_or_refused_and_come_back(given in near_spec()) {
        _ = body::read::<AppPatch>(given.clone());
        let read = body::read::<AppCreate>(given).map(|create| model::spec::AppSpec::try_from(create.spec));
        if let Ok(Ok(spec)) = read
            && model::policy::check(&spec, model::policy::Exceptions::NONE).is_empty()
        {
            let answer = AppSpec::from(spec.clone());
            let shown = answer.to_json().unwrap();
            prop_assert_eq!(serde_json::to_value(&answer).unwrap(), shown.clone(), "straight and by poem-openapi");
            let again = AppSpec::parse_from_json(Some(shown)).unwrap();
            prop_assert_eq!(model::spec::AppSpec::try_from(again).ok(), Some(spec));
        }
    }

    #[test]
    fn bodies_of_deployments_are_read_or_refused(given in any_json(), image in "[ -~]{0,80}", release in any::<i64>()) {
        _ = body::read::<DeploymentCreate>(given);
        _ = body::read::<DeploymentCreate>(json!({ "image": image, "release": release }));
    }

    #[test]
    fn the_schema_and_the_model_take_the_same_images(
        image in prop_oneof![
            "([A-Za-z0-9.:-]{1,9}/)?[a-zA-Z0-9._/-]{1,12}(:[A-Za-z0-9_.-]{0,6})?(@sha256:[a-f0-9]{64})?",
            // A host that is none, in the place of one.
            "[a-z0-9_.-]{1,5}/[a-z0-9._-]{1,5}:v1",
        ]
    ) {
        let fits = body::check::<DeploymentCreate>(&json!({ "image": image })).is_ok();
        let reads = model::image::ImageReference::parse(&image).is_some();
        prop_assert_eq!(fits, reads, "{}", image);
    }

    #[test]
    fn the_schema_and_the_model_take_the_same_emails(
        email in prop_oneof!["[ -~]{0,12}@[ -~]{0,20}", "[A-Za-z0-9.!'-]{1,9}@[a-zA-Z0-9.-]{0,12}(\\.[a-z-]{61,65})?"]
    ) {
        let fits = body::check::<UserCreate>(&json!({ "email": email, "name": "Ada" })).is_ok();
        prop_assert_eq!(fits, email.parse::<Email>().is_ok(), "{}", email);
    }

    #[test]
    fn conditions_are_taken_or_refused(values in prop::collection::vec(prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        "(W/)?\"[!-~]{0,9}\"( ?, ?(W/)?\"[!#-~]{0,9}\"){0,3}|\\*".prop_map(String::into_bytes),
    ], 0..3)) {
        let matched = extracted::<IfMatch>(header::IF_MATCH, &values);
        prop_assert_eq!(matched, extracted::<IfNoneMatch>(header::IF_NONE_MATCH, &values));
    }

    #[test]
    fn keys_are_taken_or_refused(key in prop::collection::vec(any::<u8>(), 0..300)) {
        let name = header::HeaderName::from_static("idempotency-key");
        let fits = (1..=255).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic);
        if HeaderValue::from_bytes(&key).is_ok() {
            prop_assert_eq!(extracted::<Key>(name, &[key]), fits);
        }
    }

    #[test]
    fn any_accept_is_understood(values in prop::collection::vec(prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        "[a-z*]{1,6}/[a-z*+]{1,9}(;q=[0-9.]{0,5})?(, ?[a-z*]{1,6}/[a-z*]{1,6}){0,2}".prop_map(String::into_bytes),
    ], 0..3)) {
        let mut headers = HeaderMap::new();
        for value in values.iter().filter_map(|value| HeaderValue::from_bytes(value).ok()) {
            headers.append(header::ACCEPT, value);
        }
        let any = headers.get_all(header::ACCEPT).iter().any(|value| value.to_str().is_err());
        let json = ["application/json".to_owned()].into();
        prop_assert_eq!(middleware::takes_one_of(&headers, &json).is_err(), any);
    }

    #[test]
    fn an_origin_is_itself(text in prop_oneof!["(https?://)?[a-z0-9.*:/\\[\\]]{0,20}", ".*"]) {
        if let Ok(origin) = middleware::origin(&text) {
            prop_assert_eq!(&origin, &text);
            prop_assert!(origin.starts_with("http") && !origin.ends_with('/') && !origin.contains('*'));
        }
    }

    #[test]
    fn pages_are_taken_or_refused(query in "[ -~&&[^#<>\"`{}|^\\\\ ]]{0,60}|limit=[0-9]{0,4}&cursor=[0-9a-z]{24,27}") {
        if let Ok(uri) = format!("/v1/organizations?{query}").parse() {
            let request = Request::builder().uri_str("/").finish();
            let mut request = request;
            *request.uri_mut() = uri;
            let (request, mut body) = request.split();
            let read = <page::PageQuery as poem::FromRequest>::from_request(&request, &mut body);
            if let Ok(page::PageQuery(page)) = futures::executor::block_on(read) {
                prop_assert!((1..=100).contains(&page.limit));
            }
        }
    }
}
