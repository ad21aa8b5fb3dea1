//! Pages of lists: `?limit=` and `?cursor=` in, `items` and `next_cursor` out.

use db::page::{DEFAULT_LIMIT, MAX_LIMIT};
use db::{Page, PageRequest};
use model::Error;
use model::error::Violation;
use poem::{FromRequest, Request, RequestBody};
use poem_openapi::Object;
use poem_openapi::types::{ParseFromJSON, ToJSON};
use serde::Serialize;
use serde_json::{Value, json};

use crate::document::document;
use crate::problem::Problem;

/// What a cursor looks like.
const CURSOR_PATTERN: &str = "^[0-7][0-9a-hjkmnp-tv-z]{25}$";

/// One page of a list.
#[derive(Debug, Object, Serialize)]
#[oai(rename = "Page")]
pub(crate) struct PageObject<T: ParseFromJSON + ToJSON + Send + Sync> {
    /// The items.
    pub(crate) items: Vec<T>,
    /// Where the next page starts: send it as `cursor`. `null`: this is the last page.
    pub(crate) next_cursor: Option<String>,
}

impl<T: ParseFromJSON + ToJSON + Send + Sync> PageObject<T> {
    /// The page of these rows.
    pub(crate) fn of<R>(page: Page<R>, item: impl FnMut(R) -> T) -> Self {
        let next_cursor = page.next.map(|cursor| cursor.to_string());
        Self { items: page.items.into_iter().map(item).collect(), next_cursor }
    }
}

/// The page that a request asks for: every list takes it. What it reads stands in the document by
/// [`parameters`], beside every answer that is a page.
pub(crate) struct PageQuery(pub(crate) PageRequest);

/// Name and form of each parameter that [`PageQuery`] reads.
pub(crate) fn parameters() -> [Value; 2] {
    let parameter = |name: &str, about: &str, schema: Value| {
        json!({
            "name": name, "in": "query", "required": false, "description": about, "schema": schema,
        })
    };
    let limit = json!({ "type": "integer", "minimum": 1, "maximum": MAX_LIMIT });
    let cursor = json!({ "type": "string", "pattern": CURSOR_PATTERN });
    [
        parameter("limit", "Most items of the page.", limit),
        parameter("cursor", "Where to start: the `next_cursor` of the page before.", cursor),
    ]
}

impl<'a> FromRequest<'a> for PageQuery {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let given = request.params::<Vec<(String, String)>>().unwrap_or_default();
        let mut page = PageRequest { after: None, limit: DEFAULT_LIMIT };
        let mut broken = Vec::new();
        for (name, text) in given {
            let read = match name.as_str() {
                "limit" => match text.parse() {
                    Ok(limit @ 1..=MAX_LIMIT) => {
                        page.limit = limit;
                        true
                    }
                    _ => false,
                },
                "cursor" => {
                    page.after = text.parse().ok();
                    page.after.is_some()
                }
                // One that the route does not know was refused before.
                _ => true,
            };
            if !read {
                let rule = document().parameter_rule(&name).unwrap_or_default();
                broken.push(Violation::new(name, rule));
            }
        }
        if broken.is_empty() {
            Ok(Self(page))
        } else {
            Err(Problem::from(Error::invalid(broken)).into())
        }
    }
}
