//! What of a log is asked for.

use chrono::{DateTime, Utc};
use model::Error;
use model::error::Violation;
use model::id::{AppId, DeploymentId};
use model::log::{LogCursor, LogRequest, MAX_TAIL, is_task_id};
use poem::{FromRequest, Request, RequestBody};
use serde_json::{Value, json};

use super::format::Format;
use crate::document::document;
use crate::problem::Problem;
use crate::schema::{RESUME_PATTERN, TASK_PATTERN};

/// Longest text that lines are looked through for, in characters.
const MAX_TEXT: usize = 256;
/// Longest cursor.
const MAX_CURSOR: usize = 32 * 1024;
/// Lines of each replica, where nothing is said.
const TAIL: u32 = 100;

/// What of a log is asked for.
#[derive(Debug)]
pub(crate) struct LogQuery {
    pub(super) format: Format,
    pub(super) timestamps: bool,
    tail: Option<u32>,
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    task: Option<String>,
    contains: Option<String>,
    follow: bool,
    cursor: LogCursor,
}

impl LogQuery {
    /// The same, of this app.
    pub(super) fn request(self, app: AppId, deployment: Option<DeploymentId>) -> LogRequest {
        let nanos = |time: DateTime<Utc>| time.timestamp_nanos_opt();
        // Whoever names a time wants all of it.
        let tail = self.tail.or(self.since.is_none().then_some(TAIL));
        LogRequest {
            app,
            deployment,
            task: self.task,
            tail,
            since: self.since.and_then(nanos),
            until: self.until.and_then(nanos),
            contains: self.contains,
            follow: self.follow,
            after: self.cursor,
        }
    }
}

/// The parameters, as the document has them.
pub(crate) fn parameters() -> Vec<Value> {
    let parameter = |name: &str, about: &str, schema: Value| json!({ "name": name, "in": "query", "description": about, "schema": schema });
    let time = json!({ "type": "string", "format": "date-time" });
    vec![
        parameter(
            "tail",
            "Lines of each replica that are looked back upon, the last ones; 100 where neither this nor `since` is given.",
            json!({ "type": "integer", "minimum": 0, "maximum": MAX_TAIL }),
        ),
        parameter("since", "Lines that were printed at this time or later.", time.clone()),
        parameter("until", "Lines that were printed before this time; not with `follow`.", time),
        parameter(
            "follow",
            "Go on with what is printed from then on.",
            json!({ "type": "boolean", "default": false }),
        ),
        parameter(
            "task",
            "Of one replica's task only, by Swarm's id.",
            json!({ "type": "string", "pattern": TASK_PATTERN }),
        ),
        parameter(
            "contains",
            "Lines that have this text in them, letter by letter.",
            json!({ "type": "string", "minLength": 1, "maxLength": MAX_TEXT, "pattern": "^[^\\x00]*$" }),
        ),
        parameter(
            "timestamps",
            "Whether text says when each line was printed; the other forms do.",
            json!({ "type": "boolean", "default": false }),
        ),
        parameter(
            "resume",
            "Go on from there: a cursor that an earlier answer told (`cursor`, or an event's `id`, which browsers send as `Last-Event-ID`).",
            json!({ "type": "string", "pattern": RESUME_PATTERN, "maxLength": MAX_CURSOR }),
        ),
    ]
}

impl<'a> FromRequest<'a> for LogQuery {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let given = request.params::<Vec<(String, String)>>().unwrap_or_default();
        let mut query = Self {
            format: Format::of(request.headers()),
            timestamps: false,
            tail: None,
            since: None,
            until: None,
            task: None,
            contains: None,
            follow: false,
            cursor: LogCursor::default(),
        };
        let rule = |name: &str| document().parameter_rule(name).unwrap_or_default().to_owned();
        let mut broken: Vec<Violation> = given
            .into_iter()
            .filter(|(name, text)| read(&mut query, name, text).is_none())
            .map(|(name, _)| Violation::new(name.clone(), rule(&name)))
            .collect();
        if let Some(last) = request.header("last-event-id")
            && read(&mut query, "resume", last).is_none()
        {
            broken.push(Violation::new("Last-Event-ID", rule("resume")));
        }
        if query.follow && query.until.is_some() {
            broken.push(Violation::new("until", "not with `follow`"));
        }
        if broken.is_empty() {
            Ok(query)
        } else {
            Err(Problem::from(Error::invalid(broken)).into())
        }
    }
}

/// Reads one parameter; `None`: it is not what it must be.
fn read(query: &mut LogQuery, name: &str, text: &str) -> Option<()> {
    match name {
        "tail" => query.tail = Some(text.parse().ok().filter(|tail| *tail <= MAX_TAIL)?),
        "since" => query.since = Some(time(text)?),
        "until" => query.until = Some(time(text)?),
        "follow" => query.follow = text.parse().ok()?,
        "timestamps" => query.timestamps = text.parse().ok()?,
        "task" => query.task = is_task_id(text).then(|| Some(text.to_owned()))?,
        "contains" => {
            let fits = (1..=MAX_TEXT).contains(&text.chars().count()) && !text.contains('\0');
            query.contains = fits.then(|| Some(text.to_owned()))?;
        }
        "resume" if text.len() <= MAX_CURSOR => query.cursor = text.parse().ok()?,
        "resume" => return None,
        // One that the route does not know was refused before.
        _ => {}
    }
    Some(())
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    // In a query a plus that is not escaped is a blank: a time can be sent as it was answered.
    let time = DateTime::parse_from_rfc3339(&text.replace(' ', "+")).ok()?.to_utc();
    time.timestamp_nanos_opt().map(|_| time)
}
