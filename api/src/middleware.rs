//! What every request passes on its way in and out, outermost first:
//!
//! 1. `request`: gives it an id, logs one line about it, adds the headers of every answer (`rates`: how its asker stands);
//! 2. `cors`: lets pages of the origins that the operator lists call, and read failures as well;
//! 3. `problems`: turns whatever failed, panics too, into problem details;
//! 4. `bounds`: bounds how many are worked on at once, and for how long;
//! 5. `headers`: refuses what can be read in two ways, and answers that the caller would not take;
//! 6. `query`: refuses query parameters that the route does not know.
//!
//! The size of bodies is bounded where they are read (`crate::body`).

mod bounds;
mod cors;
mod headers;
mod problems;
mod query;
mod rates;
mod request;

use poem::{Endpoint, EndpointExt as _, Request, Response};

pub(crate) use bounds::Bounds;
pub(crate) use cors::{Cors, origin};
#[cfg(test)]
pub(crate) use headers::takes_one_of;
pub(crate) use rates::StandingOf;
pub(crate) use request::{RequestId, RouteOf};

/// Puts the whole of it around `routes`.
pub(crate) fn around(
    routes: impl Endpoint<Output = Response> + 'static,
    cors: Cors,
    bounds: Bounds,
) -> impl Endpoint<Output = Response> {
    routes
        .around(query::known)
        .around(headers::checked)
        .around(move |next, request| bounds.clone().keep(next, request))
        .around(problems::told)
        .around(move |next, request| cors.clone().told(next, request))
        .around(request::traced)
}

/// Seconds for which this request asks to wait for a deployment.
fn asks_to_wait(request: &Request) -> Option<u64> {
    let pairs = request.uri().query()?.split('&');
    pairs.filter_map(|pair| pair.strip_prefix("wait=")).find_map(|text| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use poem::http::{Method, StatusCode, Uri, header};
    use poem::{Endpoint as _, Route, get};
    use serde_json::Value;

    use super::*;

    async fn call(path: &'static str, id: Option<&str>) -> (Response, Value) {
        let routes = Route::new()
            .at("/v1/panics", get(poem::endpoint::make_sync(|_| -> Response { panic!("secret") })))
            .at("/v1/organizations", get(poem::endpoint::make_sync(|_| Response::default())));
        let mut request = Request::builder().method(Method::GET).uri(Uri::from_static(path));
        if let Some(id) = id {
            request = request.header("x-request-id", id);
        }
        let endpoint = around(routes, Cors::new(Vec::new()), Bounds::new(1));
        let mut response = endpoint.get_response(request.finish()).await;
        let body = response.take_body().into_json().await.unwrap_or_default();
        (response, body)
    }

    #[tokio::test]
    async fn a_panic_is_a_problem_that_tells_nothing() {
        let (response, body) = call("/v1/panics", Some("mine")).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.header("x-request-id"), Some("mine"));
        assert_eq!((&body["code"], &body["request_id"]), (&"internal".into(), &"mine".into()));
        assert!(!body.to_string().contains("secret"));
    }

    #[tokio::test]
    async fn every_answer_has_an_id_and_is_not_stored() {
        let (response, body) = call("/v1/none", None).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(body["code"], "not_found");
        let id = response.header("x-request-id").unwrap();
        assert_eq!(body["request_id"], id);
        assert!(id.starts_with("req_"), "{id}");
        assert_eq!(response.header(header::CACHE_CONTROL), Some("no-store"));
        assert_eq!(response.header(header::X_CONTENT_TYPE_OPTIONS), Some("nosniff"));
    }

    #[tokio::test]
    async fn an_unknown_parameter_is_refused() {
        let (response, body) = call("/v1/organizations?limt=1", None).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(body["violations"][0]["field"], "limt");
        let (response, _) = call("/v1/organizations?limit=1", None).await;
        assert_eq!(response.status(), StatusCode::OK);
    }
}
