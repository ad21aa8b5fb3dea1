//! Keyset paging: a page ends with a cursor that names its last row, so that page 1,000 costs what
//! page 1 does and rows that come or go shift nothing.

use std::fmt;
use std::str::FromStr;

use ulid::Ulid;
use uuid::Uuid;

/// Most rows of a page.
pub const MAX_LIMIT: u32 = 100;
/// Rows of a page where the caller does not say.
pub const DEFAULT_LIMIT: u32 = 50;

/// The place after which a page starts. Opaque to callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub Uuid);

/// The text is no cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor that this API gave out")]
pub struct InvalidCursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Ulid::from(self.0).to_string().to_lowercase())
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;
    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let cursor = Ulid::from_string(text).map(|ulid| Self(ulid.into()));
        // The decoder takes other spellings too, and drops what is more than 128 bits: a cursor has one.
        cursor.ok().filter(|cursor| cursor.to_string() == text).ok_or(InvalidCursor)
    }
}

/// Which rows are asked for.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest {
    /// After which row; `None`: from the start.
    pub after: Option<Cursor>,
    /// How many rows (1–100).
    pub limit: u32,
}

impl PageRequest {
    /// One row more than asked, to learn whether there is a next page.
    pub(crate) fn fetch(self) -> i64 {
        i64::from(self.limit.clamp(1, MAX_LIMIT)) + 1
    }
}

/// One page of rows.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Where the next page starts; `None`: this is the last one.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// A page out of the rows fetched for `request`; `key` is the column that is paged by.
    pub(crate) fn new(mut items: Vec<T>, request: PageRequest, key: impl Fn(&T) -> Uuid) -> Self {
        let limit = request.limit.clamp(1, MAX_LIMIT) as usize;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(|last| Cursor(key(last))) } else { None };
        Self { items, next }
    }
}
