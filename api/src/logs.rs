//! Logs on their way to a client: a stream that a worker gives, opened again at another from where it was when that one dies. How many one
//! token may follow at once is bounded here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::error::ErrorCode;
use model::id::TokenId;
use model::log::{LogCursor, LogEvent, LogLine, LogRequest};
use model::{Error, Result};
use queue::streams::SILENCE;
use queue::{Stream, Streams, Unanswered};
use tokio::time::{Instant, sleep, timeout};

/// Streams of one token at once.
const OF_A_TOKEN: usize = 10;
/// Streams of this process at once.
const IN_ALL: usize = 200;
/// How long another worker is looked for.
const LOOKED_FOR: Duration = Duration::from_secs(30);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// Who reads logs now.
#[derive(Clone, Default)]
pub(crate) struct Readers(Arc<Mutex<HashMap<TokenId, usize>>>);

/// A reader's place. Dropped, it is free.
pub(crate) struct Place {
    readers: Readers,
    token: TokenId,
}

impl Readers {
    /// A place for one more of this token.
    pub(crate) fn enter(&self, token: TokenId) -> Result<Place> {
        let mut readers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.values().sum::<usize>() >= IN_ALL {
            let message = "too many logs are being read: try again in a moment";
            return Err(Error::new(ErrorCode::Overloaded, message));
        }
        let of_token = readers.entry(token).or_default();
        if *of_token >= OF_A_TOKEN {
            let message = format!(
                "no more than {OF_A_TOKEN} logs are read at once with one token: end one first"
            );
            return Err(Error::new(ErrorCode::TooMany, message));
        }
        *of_token += 1;
        drop(readers);
        Ok(Place { readers: self.clone(), token })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut readers = self.readers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_token) = readers.get_mut(&self.token) {
            *of_token -= 1;
            if *of_token == 0 {
                readers.remove(&self.token);
            }
        }
    }
}

/// What a client is given.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Lines, and how many were dropped before them.
    Lines(Vec<LogLine>, u64),
    /// There is nothing now.
    Beat,
    /// It cannot go on: a sentence.
    Failed(String),
}

/// A log that is read.
pub(crate) struct Tail {
    streams: Streams,
    request: LogRequest,
    /// `None`: it has ended.
    stream: Option<Stream>,
    _place: Place,
}

impl Tail {
    /// Opens it; an error with code `unavailable` where no worker is there.
    pub(crate) async fn open(streams: Streams, request: LogRequest, place: Place) -> Result<Self> {
        let stream = streams.open(request.clone()).await.map_err(unavailable)?;
        Ok(Self { streams, request, stream: Some(stream), _place: place })
    }

    /// Up to where it was given.
    pub(crate) const fn cursor(&self) -> &LogCursor {
        &self.request.after
    }

    /// What comes next; `None`: there is no more.
    pub(crate) async fn next(&mut self) -> Option<Piece> {
        loop {
            let stream = self.stream.as_mut()?;
            match timeout(SILENCE, stream.next()).await {
                Ok(Some(LogEvent::Lines { lines, dropped })) => {
                    for line in &lines {
                        self.request.after.give(&line.task, line.at);
                    }
                    return Some(Piece::Lines(lines, dropped));
                }
                Ok(Some(LogEvent::Beat)) => return Some(Piece::Beat),
                Ok(Some(LogEvent::End)) => self.stream = None,
                Ok(Some(LogEvent::Failed { why })) => {
                    self.stream = None;
                    return Some(Piece::Failed(why));
                }
                // The worker, or the way to it, is gone.
                Ok(None) | Err(_) => match self.open_again().await {
                    Ok(stream) => self.stream = Some(stream),
                    Err(error) => {
                        self.stream = None;
                        return Some(Piece::Failed(error.message));
                    }
                },
            }
        }
    }

    async fn open_again(&self) -> Result<Stream> {
        let until = Instant::now() + LOOKED_FOR;
        loop {
            match self.streams.open(self.request.clone()).await {
                Ok(stream) => return Ok(stream),
                Err(why) if Instant::now() >= until => return Err(unavailable(why)),
                Err(_) => sleep(PAUSE).await,
            }
        }
    }
}

fn unavailable(why: Unanswered) -> Error {
    let message = format!("logs cannot be read now: {why}; try again in a moment");
    Error::new(ErrorCode::Unavailable, message)
}
