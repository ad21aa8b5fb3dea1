//! The routes as the document has them: for the log's labels, for `Allow`, for the query parameters that a
//! route knows, and for the media types that it answers with.

use std::collections::{BTreeMap, BTreeSet};

use poem::http::Method;
use serde_json::Value;

use super::shared::resolved;

/// Paths that are served and not documented, each by GET only.
pub(crate) const UNDOCUMENTED: &[&str] = &["/openapi.json", "/docs", crate::problems_page::PATH];

/// All routes.
pub(crate) struct Routes(Vec<Route>);

/// One path and the methods that it takes.
pub(crate) struct Route {
    template: String,
    /// Names of the query parameters, by method in capitals.
    methods: BTreeMap<String, Vec<String>>,
    /// Of its answers; empty: pages for people, which anybody may be shown.
    media_types: BTreeSet<String>,
}

impl Routes {
    pub(super) fn of(document: &Value) -> Self {
        let mut routes: Vec<Route> = document["paths"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(template, operations)| Route {
                template: template.clone(),
                methods: operations
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(method, operation)| (method.to_uppercase(), query_names(operation)))
                    .collect(),
                media_types: media_types(document, operations),
            })
            .collect();
        routes.extend(UNDOCUMENTED.iter().map(|path| Route {
            template: (*path).to_owned(),
            methods: BTreeMap::from([("GET".to_owned(), Vec::new())]),
            media_types: BTreeSet::new(),
        }));
        Self(routes)
    }

    /// The route that serves this path.
    pub(crate) fn find(&self, path: &str) -> Option<&Route> {
        self.0.iter().find(|route| route.serves(path))
    }
}

impl Route {
    fn serves(&self, path: &str) -> bool {
        let mut parts = path.split('/');
        let fits = self.template.split('/').all(|part| {
            let variable = part.starts_with('{');
            parts.next().is_some_and(|given| given == part || variable && !given.is_empty())
        });
        fits && parts.next().is_none()
    }

    /// The media types of its answers; none: a caller who takes nothing of it is answered all the same.
    pub(crate) const fn media_types(&self) -> &BTreeSet<String> {
        &self.media_types
    }

    /// The path with its variables' names.
    pub(crate) fn template(&self) -> &str {
        &self.template
    }

    /// Value of the header `Allow`.
    pub(crate) fn allow(&self) -> String {
        let mut methods: Vec<&str> = self.methods.keys().map(String::as_str).collect();
        if self.methods.contains_key("GET") {
            methods.push("HEAD");
        }
        methods.join(", ")
    }

    /// The query parameters that this method knows here.
    pub(crate) fn query(&self, method: &Method) -> Option<&[String]> {
        let method = if method == Method::HEAD { "GET" } else { method.as_str() };
        self.methods.get(method).map(Vec::as_slice)
    }
}

fn query_names(operation: &Value) -> Vec<String> {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    parameters
        .filter(|parameter| parameter["in"] == "query")
        .filter_map(|parameter| parameter["name"].as_str().map(str::to_owned))
        .collect()
}

/// What the operations of a path answer with, problems included.
fn media_types(document: &Value, operations: &Value) -> BTreeSet<String> {
    let operations = operations.as_object().into_iter().flat_map(|operations| operations.values());
    let responses = operations.flat_map(|operation| operation["responses"].as_object()).flatten();
    let contents = responses
        .flat_map(|(_, response)| resolved(document, response)["content"].as_object())
        .flatten();
    contents.map(|(media_type, _)| media_type.clone()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_finds_its_route() {
        let routes = Routes::of(&json!({ "paths": {
            "/v1/apps": { "get": { "parameters": [{ "in": "query", "name": "limit" }] },
                "post": {} },
            "/v1/apps/{app}": { "delete": {} },
        } }));
        let route = routes.find("/v1/apps").unwrap();
        assert_eq!(route.allow(), "GET, POST, HEAD");
        assert_eq!(route.query(&Method::HEAD), Some(&["limit".to_owned()][..]));
        assert_eq!(routes.find("/v1/apps/web").unwrap().template(), "/v1/apps/{app}");
        assert_eq!(routes.find("/v1/apps/web").unwrap().allow(), "DELETE");
        for none in ["/v1/apps/", "/v1", "/v1/apps/web/x", "/"] {
            assert!(routes.find(none).is_none(), "{none}");
        }
        assert!(routes.find("/docs").is_some());
    }
}
