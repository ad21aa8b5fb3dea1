//! The rules of schemas in words.

use model::email::{EMAIL_PATTERN, EMAIL_RULE};
use model::image::IMAGE_RULE;
use model::policy::CONSTRAINT_RULE;
use model::secret::{NAME_PATTERN as SECRET_NAME_PATTERN, NAME_RULE as SECRET_NAME_RULE};
use model::slug::{SLUG_PATTERN, SLUG_RULE};

use super::{Kind, Schema};
use crate::entity_tag::PATTERN as ENTITY_TAGS;

/// What every text of a request is that has no pattern of its own: Postgres cannot hold NUL.
pub(crate) const ANY_TEXT: &str = r"^[^\x00]*$";

/// Swarm's ids of tasks.
pub(crate) const TASK_PATTERN: &str = "^[a-z0-9]{1,64}$";
/// Cursors of logs.
pub(crate) const RESUME_PATTERN: &str = "^[a-z0-9.-]*$";

/// Patterns of the document in words. Attributes take literals only, so each pattern stands here
/// once more; one that is missing here is told as it is.
pub(crate) const PATTERNS: &[(&str, &str)] = &[
    (ANY_TEXT, "a text without NUL characters"),
    (ENTITY_TAGS, "entity tags as a GET answered them in `ETag`, separated by commas, or *"),
    (SLUG_PATTERN, SLUG_RULE),
    (r"^[a-z][a-z0-9_-]*$", "an organization, by slug or id"),
    (
        r"^(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(\.(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])){3}/([89]|1[0-9]|2[0-6])$",
        "an IPv4 range in CIDR notation of /8 to /26, as 10.64.0.0/12 is",
    ),
    (
        r"^(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(\.(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])){3}/(3[0-2]|[12]?[0-9])$",
        "an IPv4 range in CIDR notation, as 10.64.0.0/12 is",
    ),
    (EMAIL_PATTERN, EMAIL_RULE),
    (SECRET_NAME_PATTERN, SECRET_NAME_RULE),
    (TASK_PATTERN, "Swarm's id of a task: 1 to 64 of a-z and 0-9"),
    (RESUME_PATTERN, "a cursor that a log told"),
    (
        r"^(((localhost|[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+)(:[0-9]+)?|[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?:[0-9]+)/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*|[a-z0-9]+((_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)+|[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}(@sha256:[a-f0-9]{64})?|@sha256:[a-f0-9]{64})$",
        IMAGE_RULE,
    ),
    (
        r"^(node\.labels\.[A-Za-z0-9._-]{1,63}|node\.platform\.(os|arch)|node\.hostname)(==|!=)[A-Za-z0-9._-]{1,63}$",
        CONSTRAINT_RULE,
    ),
    (r"^usr_[0-7][0-9a-hjkmnp-tv-z]{25}$", "the id of a person (usr_…)"),
    (r"^tok_[0-7][0-9a-hjkmnp-tv-z]{25}$", "the id of a token (tok_…)"),
    (r"^org_[0-7][0-9a-hjkmnp-tv-z]{25}$", "the id of an organization (org_…)"),
    (r"^[a-z_]{1,40}(\.[a-z_]{1,40})?$", "a noun and a verb, as app.update"),
    (r"^[0-7][0-9a-hjkmnp-tv-z]{25}$", "a next_cursor that this list gave out"),
    (r"^/[^\x00-\x1f\x7f:,]*$", "an absolute path of at most 255 bytes, without : and ,"),
    (r"^/[!-~]*$", "starts with a slash; visible ASCII characters, at most 1024"),
    (
        "^SIG(TERM|INT|QUIT|HUP|USR1|USR2|WINCH|KILL)$",
        "one of SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH, SIGKILL",
    ),
    (r"^[A-Za-z0-9._:-]*$", "1 to 64 of a-z, A-Z, 0-9, . _ - :"),
    (r"^[^\x00-\x1f\x7f:]*$", "a text of 1 to 255 characters without : and control characters"),
    // Control characters would break logs, terminals and (NUL) Postgres.
    (r"^[^\x00-\x1f\x7f]*$", "a text of 1 to 200 characters without control characters"),
    ("^(live|draft|[1-9][0-9]{0,9})$", "live, draft, or the number of a release"),
    ("^[!-~]{1,64}$", "1 to 64 visible ASCII characters"),
    ("^[!-~]*$", "1 to 255 visible ASCII characters"),
];

/// What fits, as a sentence fragment that completes "must be …".
pub(super) fn rule_of(kind: &Kind) -> String {
    match kind {
        Kind::Object { at_most: Some(most), .. } => format!("an object of at most {most} entries"),
        Kind::Object { .. } => "an object".into(),
        Kind::List { items, least, most } => {
            format!("a list of {}{}", counted(*least, *most, "entries, each "), items.rule())
        }
        Kind::Text { words, .. } if !words.is_empty() => format!("one of {}", words.join(", ")),
        Kind::Text { date_time: true, .. } => "a date and time as in RFC 3339".into(),
        Kind::Text { pattern: Some(pattern), .. } if pattern.as_str() != ANY_TEXT => {
            let known = PATTERNS.iter().find(|(known, _)| *known == pattern.as_str());
            known.map_or_else(
                || format!("a text that matches {pattern}"),
                |(_, rule)| (*rule).to_owned(),
            )
        }
        Kind::Text { least, most, .. } => match counted(*least, *most, "characters") {
            count if count.is_empty() => "a text".into(),
            count => format!("a text of {count}"),
        },
        Kind::Number { integer, least, most } => {
            let noun = if *integer { "an integer" } else { "a number" };
            match (least.is_finite() && *least > f64::MIN, *most < f64::MAX) {
                (true, true) => format!("{noun} from {least} to {most}"),
                (true, false) => format!("{noun} of at least {least}"),
                (false, true) => format!("{noun} of at most {most}"),
                (false, false) => noun.into(),
            }
        }
        Kind::Boolean => "true or false".into(),
        Kind::OneOf(forms) => {
            let rules: Vec<&str> = forms.iter().map(Schema::rule).collect();
            rules.join(", or ")
        }
        Kind::Any => "JSON".into(),
    }
}

fn counted(least: usize, most: usize, noun: &str) -> String {
    match (least, most) {
        (0, usize::MAX) => String::new(),
        (0, most) => format!("at most {most} {noun}"),
        (least, usize::MAX) => format!("at least {least} {noun}"),
        (least, most) => format!("{least} to {most} {noun}"),
    }
}
