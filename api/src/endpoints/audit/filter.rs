//! What a reader of the audit log asks for. What it reads stands in the document by [`parameters`], beside
//! every operation of the log.

use chrono::{DateTime, Utc};
use db::audit::read::AuditFilter;
use model::Error;
use model::audit::AuditResult;
use model::error::Violation;
use poem::{FromRequest, Request, RequestBody};
use serde_json::{Value, json};

use crate::document::document;
use crate::middleware::RequestId;
use crate::problem::Problem;
use crate::schema::ANY_TEXT;

/// Most characters of an object: an id, or a path.
const MAX_OBJECT: usize = 1024;

/// Name, meaning and form of each parameter; the last is for operators only.
pub(crate) fn parameters(of_all: bool) -> Vec<Value> {
    let id = |prefix: &str| json!({ "type": "string", "pattern": format!("^{prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$") });
    let time = || json!({ "type": "string", "format": "date-time" });
    let results: Vec<&str> = AuditResult::ALL.iter().map(|result| result.as_str()).collect();
    let mut parameters = vec![
        ("action", "Only this verb and noun.", json!({ "type": "string", "pattern": ACTION })),
        (
            "object",
            "Only what was done to this.",
            json!({ "type": "string", "maxLength": MAX_OBJECT, "pattern": ANY_TEXT }),
        ),
        ("user", "Only what this person did.", id("usr")),
        ("token", "Only what was done with this token.", id("tok")),
        (
            "request",
            "Only what this request did.",
            json!({ "type": "string", "pattern": "^[!-~]{1,64}$" }),
        ),
        ("result", "Only what ended like this.", json!({ "type": "string", "enum": results })),
        ("since", "Only what was written then or later.", time()),
        ("until", "Only what was written before.", time()),
    ];
    if of_all {
        parameters.push(("organization", "Only what concerns this organization.", id("org")));
    }
    let parameter = |(name, about, schema)| {
        json!({
            "name": name, "in": "query", "required": false, "description": about, "schema": schema,
        })
    };
    parameters.into_iter().map(parameter).collect()
}

/// What an action's name looks like.
const ACTION: &str = "^[a-z_]{1,40}(\\.[a-z_]{1,40})?$";

/// The filter that a request asks for.
pub(super) struct FilterQuery(pub(super) AuditFilter);

impl<'a> FromRequest<'a> for FilterQuery {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let given = request.params::<Vec<(String, String)>>().unwrap_or_default();
        let mut filter = AuditFilter::default();
        let broken: Vec<Violation> = given
            .into_iter()
            .filter(|(name, text)| read(&mut filter, name, text).is_none())
            .map(|(name, _)| {
                let rule = document().parameter_rule(&name).unwrap_or_default();
                Violation::new(name, rule)
            })
            .collect();
        if broken.is_empty() {
            Ok(Self(filter))
        } else {
            Err(Problem::from(Error::invalid(broken)).into())
        }
    }
}

/// Reads one parameter; `None`: it is not what it must be.
fn read(filter: &mut AuditFilter, name: &str, text: &str) -> Option<()> {
    let whole = |most: usize| text.chars().count() <= most && !text.contains('\0');
    match name {
        "organization" => filter.organization = Some(text.parse().ok()?),
        "action" => filter.action = is_action(text).then(|| Some(text.to_owned()))?,
        "object" => filter.object = whole(MAX_OBJECT).then(|| Some(text.to_owned()))?,
        "user" => filter.user = Some(text.parse().ok()?),
        "token" => filter.token = Some(text.parse().ok()?),
        "request" => filter.request = RequestId::is_sane(text).then(|| Some(text.to_owned()))?,
        "result" => filter.result = Some(text.parse().ok()?),
        "since" => filter.since = Some(time(text)?),
        "until" => filter.until = Some(time(text)?),
        // The page's; one that the route does not know was refused before.
        _ => {}
    }
    Some(())
}

fn is_action(text: &str) -> bool {
    let is_word = |word: &str| {
        (1..=40).contains(&word.len())
            && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    match text.split_once('.') {
        Some((noun, verb)) => is_word(noun) && is_word(verb),
        None => is_word(text),
    }
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    // In a query a plus that is not escaped is a blank: `created_at` can be sent as it was answered.
    Some(DateTime::parse_from_rfc3339(&text.replace(' ', "+")).ok()?.to_utc())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 9] = [
        "organization",
        "action",
        "object",
        "user",
        "token",
        "request",
        "result",
        "since",
        "until",
    ];

    proptest! {
        /// Whatever comes is read or refused, and what is read can be asked of Postgres.
        #[test]
        fn any_text_is_read_or_refused(
            name in prop::sample::select(&NAMES[..]),
            text in prop_oneof![".*", "[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:.]{8,12}(Z|[-+ ][0-9]{2}:[0-9]{2})"],
        ) {
            let mut filter = AuditFilter::default();
            let is_read = read(&mut filter, name, &text).is_some();
            let texts = [&filter.action, &filter.object, &filter.request];
            prop_assert!(texts.into_iter().flatten().all(|kept| is_read && kept == &text && !kept.contains('\0')));
        }
    }

    #[test]
    fn each_parameter_is_read_by_its_rule() {
        for (name, good, bad) in [
            ("action", "app.update", "app update"),
            ("object", "app_1", "a\0b"),
            ("user", "usr_01jd3k00000000000000000000", "org_01jd3k00000000000000000000"),
            ("token", "tok_01jd3k00000000000000000000", "tok_"),
            ("organization", "org_01jd3k00000000000000000000", "acme"),
            ("request", "req_1", "a b"),
            ("request", "trace/1?", ""),
            ("result", "refused", "lost"),
            ("since", "2026-11-22T00:00:00Z", "yesterday"),
            ("until", "2026-11-22T00:00:00+01:00", "99999-01-01T00:00:00Z"),
        ] {
            let mut filter = AuditFilter::default();
            assert!(read(&mut filter, name, good).is_some(), "{name}");
            assert!(read(&mut filter, name, bad).is_none(), "{name}");
            assert!(document().parameter_rule(name).is_some(), "{name}");
        }
    }
}
