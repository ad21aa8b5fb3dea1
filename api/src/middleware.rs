//! What every request passes on its way in and out, outermost first:
//!
//! 1. `request`: gives it an id, logs one line about it, adds the headers of every answer;
//! 2. `problems`: turns whatever failed, panics too, into problem details;
//! 3. `bounds`: bounds how many are worked on at once, and for how long;
//! 4. `query`: refuses query parameters that the route does not know.
//!
//! The size of bodies is bounded where they are read (`crate::body`).

mod bounds;
mod problems;
mod query;
mod request;

use poem::{Endpoint, EndpointExt as _, Request, Response};

pub(crate) use bounds::Bounds;
pub(crate) use request::RequestId;

/// Puts the whole of it around `routes`.
pub(crate) fn around(
    routes: impl Endpoint<Output = Response> + 'static,
    bounds: Bounds,
) -> impl Endpoint<Output = Response> {
    routes
        .around(query::known)
        .around(move |next, request| bounds.clone().keep(next, request))
        .around(problems::told)
        .around(request::traced)
}

/// Seconds for which this request asks to wait for a deployment.
fn asks_to_wait(request: &Request) -> Option<u64> {
    let pairs = request.uri().query()?.split('&');
    pairs.filter_map(|pair| pair.strip_prefix("wait=")).find_map(|text| text.parse().ok())
}
