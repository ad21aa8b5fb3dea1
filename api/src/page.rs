//! Pages of lists: `?limit=` and `?cursor=` in, `items` and `next_cursor` out.

use db::page::DEFAULT_LIMIT;
use db::{Page, PageRequest};
use model::Error;
use model::error::Violation;
use poem_openapi::Object;
use poem_openapi::types::{ParseFromJSON, ToJSON};

/// One page of a list.
#[derive(Debug, Object)]
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

/// The page that a query asks for.
pub(crate) fn page_request(limit: Option<u32>, cursor: Option<&str>) -> Result<PageRequest, Error> {
    let after = match cursor {
        Some(text) => Some(text.parse().map_err(|_| {
            let rule = "a next_cursor that this list gave out";
            Error::invalid(vec![Violation::new("cursor", rule)])
        })?),
        None => None,
    };
    Ok(PageRequest { after, limit: limit.unwrap_or(DEFAULT_LIMIT) })
}
