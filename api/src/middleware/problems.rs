//! Whatever fails leaves as problem details: what handlers return, what the framework refuses, and
//! panics. What is the platform's own fault is logged here, once, with its chain.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use model::Error;
use model::error::ErrorCode;
use poem::http::{HeaderValue, header};
use poem::{Endpoint, Request, Response};

use super::{RequestId, RouteOf};
use crate::problem::{Problem, translate};

pub(super) async fn told<E>(next: Arc<E>, request: Request) -> poem::Result<Response>
where
    E: Endpoint<Output = Response>,
{
    let id = RequestId::of(&request).to_owned();
    let route = RouteOf::of(&request);
    let called = AssertUnwindSafe(next.call(request)).catch_unwind().await;
    let problem = match called {
        Ok(Ok(response)) => return Ok(response),
        Ok(Err(error)) => translate(error),
        // The panic's own text went to the log by the hook.
        Err(_) => Problem::from(Error::internal("a handler panicked")),
    };
    let error = problem.error();
    match error.code {
        ErrorCode::Internal => {
            tracing::error!(request_id = %id, error = %error.chain(), "a request failed");
        }
        ErrorCode::Unavailable => {
            tracing::warn!(request_id = %id, error = %error.chain(), "a request could not be served");
        }
        _ => {}
    }
    let mut response = problem.respond(&id);
    let allow = route.filter(|_| error.code == ErrorCode::MethodNotAllowed);
    if let Some(Ok(allow)) = allow.map(|route| HeaderValue::from_str(&route.allow())) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    Ok(response)
}
