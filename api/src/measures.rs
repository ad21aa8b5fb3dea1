//! What an API process tells Prometheus: requests by route, tokens that were looked up, connections to Postgres.

use std::time::Duration;

use db::Database;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use poem::http::{Method, StatusCode};

const REQUESTS: &str = "skep_api_request_duration_seconds";
const CHECKED: &str = "skep_api_tokens_checked_total";
const LOOKED_UP: &str = "skep_api_tokens_looked_up_total";
const CONNECTIONS: &str = "skep_database_connections";
const WAITING: &str = "skep_database_waiting";

/// Says what each of them is.
pub(crate) fn describe() {
    describe_histogram!(REQUESTS, "Requests by route, method and class of status");
    describe_counter!(
        CHECKED,
        "Tokens that requests came with; those not looked up were remembered"
    );
    describe_counter!(LOOKED_UP, "Tokens that Postgres was asked about");
    describe_gauge!(CONNECTIONS, "Connections of the pool by state");
    describe_gauge!(WAITING, "Requests that wait for a connection");
}

/// A request was answered.
pub(crate) fn request(route: &'static str, method: &Method, status: StatusCode, took: Duration) {
    let class = match status.as_u16() {
        ..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        500.. => "5xx",
    };
    histogram!(REQUESTS, "route" => route, "method" => method_label(method), "status" => class)
        .record(took);
}

/// A client may name any method it likes.
fn method_label(method: &Method) -> &'static str {
    const KNOWN: [Method; 7] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PATCH,
        Method::PUT,
        Method::DELETE,
        Method::OPTIONS,
    ];
    const LABELS: [&str; 7] = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"];
    let known = KNOWN.iter().zip(LABELS).find(|(known, _)| *known == method);
    known.map_or("other", |(_, label)| label)
}

/// A token was checked.
pub(crate) fn token_checked() {
    counter!(CHECKED).increment(1);
}

/// Postgres was asked about a token.
pub(crate) fn token_looked_up() {
    counter!(LOOKED_UP).increment(1);
}

/// Looks at the levels.
pub(crate) fn sample(database: &Database) {
    let pool = database.pool();
    gauge!(CONNECTIONS, "state" => "idle").set(pool.idle as f64);
    gauge!(CONNECTIONS, "state" => "used").set(pool.used as f64);
    gauge!(WAITING).set(pool.waiting as f64);
}
