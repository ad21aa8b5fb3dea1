//! Query parameters that a route does not know are refused: a misspelt `?limt=` must not be a page
//! of another size.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::Error;
use model::error::Violation;
use poem::{Endpoint, Request, Response};

use super::RouteOf;
use crate::problem::Problem;

pub(super) async fn known<E>(next: Arc<E>, request: Request) -> poem::Result<Response>
where
    E: Endpoint<Output = Response>,
{
    let uri = request.uri();
    if let Some(query) = uri.query()
        && let Some(route) = RouteOf::of(&request)
        && let Some(names) = route.query(request.method())
    {
        let violations = unknown(query, names);
        if !violations.is_empty() {
            return Err(Problem::from(Error::invalid(violations)).into());
        }
    }
    next.call(request).await
}

fn unknown(query: &str, names: &[String]) -> Vec<Violation> {
    let mut seen = BTreeSet::new();
    let given = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    given
        .filter(|name| !name.is_empty())
        .filter_map(|name| {
            if !names.iter().any(|known| known == name) {
                let name: String = name.chars().take(80).collect();
                Some(Violation::new(name, "is not a known parameter"))
            } else if !seen.insert(name) {
                Some(Violation::new(name, "is given once"))
            } else {
                None
            }
        })
        .take(10)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_known_name_once() {
        let names = ["limit".to_owned(), "cursor".to_owned()];
        assert_eq!(unknown("limit=1&cursor=x", &names), []);
        assert_eq!(unknown("", &names), []);
        let found = unknown("limt=1&limit=1&limit=2", &names);
        let fields: Vec<&str> = found.iter().map(|broken| broken.field.as_str()).collect();
        assert_eq!(fields, ["limt", "limit"]);
    }
}
