//! The OpenAPI document: what poem-openapi derives from the handlers, finished where it falls short
//! (`finish`), and what the process itself reads out of it: the schemas of request bodies, the rules
//! of parameters, and the routes.

mod finish;
mod routes;
mod shared;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

pub(crate) use routes::{Route, Routes, UNDOCUMENTED};

use crate::endpoints;
use crate::schema::Schema;

/// The document and what is read out of it.
pub(crate) struct Document {
    text: String,
    schemas: BTreeMap<String, Schema>,
    parameters: BTreeMap<String, String>,
    routes: Routes,
}

/// The document of this build.
pub(crate) fn document() -> &'static Document {
    static DOCUMENT: LazyLock<Document> = LazyLock::new(Document::new);
    &DOCUMENT
}

impl Document {
    fn new() -> Self {
        // What poem-openapi printed is JSON; were it not, the snapshot test would be the first to see.
        let printed = serde_json::from_str(&endpoints::service().spec()).unwrap_or_default();
        let document = finish::finish(printed);
        let text = serde_json::to_string_pretty(&document).unwrap_or_default();
        let mut schemas = BTreeMap::new();
        for name in finish::request_schemas(&document) {
            let reference = serde_json::json!({ "$ref": format!("#/components/schemas/{name}") });
            schemas.extend(Schema::read(&document, &reference).map(|schema| (name, schema)));
        }
        let parameters = parameters(&document);
        let routes = Routes::of(&document);
        Self { text, schemas, parameters, routes }
    }

    /// The document as JSON, indented.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The schema of a request's body, by its name in the document.
    pub(crate) fn schema(&self, name: &str) -> Option<&Schema> {
        self.schemas.get(name)
    }

    /// What a query or header parameter must be.
    pub(crate) fn parameter_rule(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// The routes.
    pub(crate) const fn routes(&self) -> &Routes {
        &self.routes
    }
}

fn parameters(document: &Value) -> BTreeMap<String, String> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let operations = paths.flat_map(|(_, path)| path.as_object().into_iter().flatten());
    let parameters = operations
        .flat_map(|(_, operation)| operation["parameters"].as_array().into_iter().flatten());
    parameters
        .filter(|parameter| parameter["in"] != "path")
        .filter_map(|parameter| {
            let schema = Schema::read(document, &parameter["schema"])?;
            Some((parameter["name"].as_str()?.to_owned(), schema.rule().to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::PATTERNS;

    /// What is asked without a token: the secret is in the body.
    const STRANGERS: &[&str] = &["session_create", "password_reset_use", "invitation_accept"];

    #[test]
    fn every_request_body_has_a_schema_that_can_check_it() {
        let value: Value = serde_json::from_str(document().text()).unwrap();
        let names = finish::request_schemas(&value);
        assert!(!names.is_empty());
        for name in names {
            let read = document().schema(&name).is_some();
            assert!(read, "{name} has a form that schema.rs does not read");
        }
    }

    #[test]
    fn every_pattern_is_known_in_words() {
        fn visit(value: &Value) {
            if let Some(pattern) = value.get("pattern").and_then(Value::as_str) {
                assert!(PATTERNS.iter().any(|(known, _)| *known == pattern), "{pattern}");
            }
            match value {
                Value::Object(map) => map.values().for_each(visit),
                Value::Array(list) => list.iter().for_each(visit),
                _ => {}
            }
        }
        visit(&serde_json::from_str(document().text()).unwrap());
    }

    #[test]
    fn parameters_have_rules_in_words() {
        assert_eq!(document().parameter_rule("limit"), Some("an integer from 1 to 100"));
        assert_eq!(document().parameter_rule("wait"), Some("an integer from 0 to 60"));
        let rule = document().parameter_rule("Idempotency-Key");
        assert_eq!(rule, Some("1 to 255 visible ASCII characters"));
    }

    #[test]
    fn every_post_takes_an_idempotency_key() {
        let value: Value = serde_json::from_str(document().text()).unwrap();
        for (path, operations) in value["paths"].as_object().unwrap() {
            let Some(post) = operations.get("post") else { continue };
            let taken = post["parameters"].as_array().into_iter().flatten();
            let key = taken.filter(|parameter| parameter["name"] == "Idempotency-Key").count();
            assert_eq!(key, 1, "{path} does not take the extractor `Key`");
            for status in ["409", "422"] {
                assert!(post["responses"][status].is_object(), "{path} {status}");
            }
            let told = post["responses"].as_object().unwrap().values();
            let told = told.filter(|answer| !answer["headers"]["Idempotency-Replayed"].is_null());
            assert_eq!(told.count(), 1, "{path} does not answer with `Done`");
        }
    }

    #[test]
    fn every_operation_says_who_may_and_how_it_fails() {
        let value: Value = serde_json::from_str(document().text()).unwrap();
        for (path, operations) in value["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                let name = format!("{method} {path}");
                assert!(operation["operationId"].is_string(), "{name}");
                assert!(operation["summary"].is_string(), "{name}");
                let stranger = STRANGERS.iter().any(|id| operation["operationId"] == *id);
                let asks = path.starts_with("/v1") && !stranger;
                assert_eq!(operation["security"].is_array(), asks, "{name}");
                assert!(!asks || operation["responses"]["403"].is_object(), "{name} 403");
                if path.starts_with("/v1") {
                    for status in ["400", "401", "404", "406", "500", "503", "504"] {
                        assert!(operation["responses"][status].is_object(), "{name} {status}");
                    }
                }
                for variable in path.split('/').filter_map(|part| part.strip_prefix('{')) {
                    let variable = variable.trim_end_matches('}');
                    let parameters = operation["parameters"].as_array().unwrap();
                    assert!(parameters.iter().any(|p| p["name"] == variable), "{name}");
                }
            }
        }
    }
}
