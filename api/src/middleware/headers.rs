//! Headers of a request that decide how it is answered, checked before anything is done: what can be
//! read in two ways is refused, and so is a request whose answer its caller would not take.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::Error;
use model::error::{ErrorCode, Violation};
use poem::http::{HeaderMap, HeaderName, header};
use poem::{Endpoint, Request, Response};

use super::RouteOf;
use crate::problem::Problem;

/// Headers of which a second one would contradict the first.
const ONCE: [(HeaderName, &str); 2] =
    [(header::AUTHORIZATION, "Authorization"), (header::CONTENT_TYPE, "Content-Type")];

pub(super) async fn checked<E>(next: Arc<E>, request: Request) -> poem::Result<Response>
where
    E: Endpoint<Output = Response>,
{
    let headers = request.headers();
    for (name, title) in &ONCE {
        if headers.get_all(name).iter().nth(1).is_some() {
            let violation = Violation::new(*title, "is given once");
            return Err(Problem::from(Error::invalid(vec![violation])).into());
        }
    }
    if let Some(route) = RouteOf::of(&request)
        && !takes_one_of(headers, route.media_types())?
    {
        let types: Vec<&str> = route.media_types().iter().map(String::as_str).collect();
        let types = types.join(" or ");
        let message =
            format!("answers are {types}: the header Accept must allow it, or be left out");
        return Err(Problem::from(Error::new(ErrorCode::NotAcceptable, message)).into());
    }
    next.call(request).await
}

/// Whether `Accept` allows one of these media types (RFC 9110, section 12.5.1): of the ranges that cover a type,
/// the most specific decides, and its weight may be none.
pub(crate) fn takes_one_of(
    headers: &HeaderMap,
    media_types: &BTreeSet<String>,
) -> Result<bool, Problem> {
    let mut ranges = Vec::new();
    for value in headers.get_all(header::ACCEPT) {
        let text = value.to_str().map_err(|_| {
            let rule = "media ranges, separated by commas, in visible ASCII characters";
            Error::invalid(vec![Violation::new("Accept", rule)])
        })?;
        ranges.extend(text.split(',').map(str::trim).filter(|range| !range.is_empty()));
    }
    let weight = |covers: &str| ranges.iter().find_map(|range| weight_of(range, covers));
    let is_taken = |media_type: &String| {
        let every = media_type.split_once('/').map(|(kind, _)| format!("{kind}/*"));
        let weight = weight(media_type).or_else(|| weight(&every?)).or_else(|| weight("*/*"));
        weight.is_some_and(|weight| weight > 0.0)
    };
    Ok(ranges.is_empty() || media_types.is_empty() || media_types.iter().any(is_taken))
}

/// The weight that `range` gives to the media range `covers`; `None` where it is about another one.
fn weight_of(range: &str, covers: &str) -> Option<f32> {
    let mut parts = range.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(covers) {
        return None;
    }
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    Some(weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0)))
}

#[cfg(test)]
mod tests {
    use poem::http::HeaderValue;

    use super::*;

    fn takes(accept: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for text in accept {
            headers.append(header::ACCEPT, HeaderValue::from_str(text).unwrap());
        }
        takes_one_of(&headers, &json()).unwrap()
    }

    fn json() -> BTreeSet<String> {
        ["application/json", "application/problem+json"].map(str::to_owned).into()
    }

    #[test]
    fn json_is_taken_unless_it_is_excluded() {
        for accept in [
            &[][..],
            &["*/*"],
            &["application/*;q=0.1"],
            &["application/json; charset=utf-8"],
            &["Application/JSON"],
            &["application/problem+json"],
            &["text/html, */*;q=0.8"],
            &["text/html", "application/json"],
            &[""],
        ] {
            assert!(takes(accept), "{accept:?}");
        }
        for accept in [
            &["text/html"][..],
            &["application/xml, text/*"],
            &["application/*;q=0"],
            &["application/*;q=0, */*"],
            &["application/json;q=many"],
            &["nonsense"],
        ] {
            assert!(!takes(accept), "{accept:?}");
        }
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_bytes(b"\xff").unwrap());
        assert!(takes_one_of(&headers, &json()).is_err());
    }
}
