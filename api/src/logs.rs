//! Logs on their way to a client: a stream that a worker gives, opened again at another from where it was when that one dies. How many
//! one token may read at once is bounded here, and that it still may is looked up from time to time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use model::error::ErrorCode;
use model::id::{OrganizationId, TokenId};
use model::log::{LogCursor, LogEvent, LogLine, LogRequest, LogTask};
use model::{Error, Result};
use queue::streams::SILENCE;
use queue::{Stream, Streams, Unanswered};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

/// Streams of one token at once.
const OF_A_TOKEN: usize = 10;
/// Streams of one organization at once, in this process.
const OF_AN_ORGANIZATION: usize = 100;
/// Streams of this process at once.
const IN_ALL: usize = 200;
/// How long another worker is looked for.
const LOOKED_FOR: Duration = Duration::from_secs(30);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(500);
/// Workers that one log may lose.
const MOST_LOST: u32 = 50;
/// Between two times that it is looked whether who reads still may.
const LOOKED_AGAIN: Duration = Duration::from_secs(15);

/// Who reads logs now.
#[derive(Clone, Default)]
pub(crate) struct Readers(Arc<Mutex<Vec<(TokenId, OrganizationId)>>>);

/// A reader's place. Dropped, it is free.
pub(crate) struct Place {
    readers: Readers,
    of: (TokenId, OrganizationId),
}

impl Readers {
    /// A place for one more of this token, which reads of this organization.
    pub(crate) fn enter(&self, token: TokenId, organization: OrganizationId) -> Result<Place> {
        let mut readers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_token = readers.iter().filter(|(other, _)| *other == token).count();
        let of_organization = readers.iter().filter(|(_, other)| *other == organization).count();
        if of_token >= OF_A_TOKEN || of_organization >= OF_AN_ORGANIZATION {
            let message = format!(
                "no more than {OF_A_TOKEN} logs are read at once with one token, and {OF_AN_ORGANIZATION} of one organization: end one first"
            );
            return Err(Error::new(ErrorCode::TooMany, message));
        }
        if readers.len() >= IN_ALL {
            let message = "too many logs are being read: try again in a moment";
            return Err(Error::new(ErrorCode::Overloaded, message));
        }
        readers.push((token, organization));
        drop(readers);
        Ok(Place { readers: self.clone(), of: (token, organization) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut readers = self.readers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = readers.iter().position(|reader| *reader == self.of) {
            readers.swap_remove(place);
        }
    }
}

/// What a client is given.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Lines, and how many were dropped before them.
    Lines(Vec<LogLine>, u64),
    /// Of these tasks lines are missing here.
    Missing(Vec<LogTask>),
    /// There is nothing now.
    Beat,
    /// It cannot go on: a sentence.
    Failed(String),
}

/// Whether who reads still may: an error says why not.
pub(crate) type StillMay = Box<dyn Fn() -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// A log that is read.
pub(crate) struct Tail {
    streams: Streams,
    request: LogRequest,
    /// `None`: it has ended.
    stream: Option<Stream>,
    /// When its worker was heard last.
    heard: Instant,
    /// Workers that were lost.
    lost: u32,
    still_may: StillMay,
    looks: Interval,
    /// The process ends.
    stopping: CancellationToken,
    _place: Place,
}

impl Tail {
    /// Opens it; an error with code `unavailable` where no worker is there. `still_may` is asked from time to time.
    pub(crate) async fn open(
        streams: Streams,
        request: LogRequest,
        place: Place,
        (still_may, stopping): (StillMay, CancellationToken),
    ) -> Result<Self> {
        let stream = Some(streams.open(request.clone()).await.map_err(unavailable)?);
        let mut looks = interval_at(Instant::now() + LOOKED_AGAIN, LOOKED_AGAIN);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (heard, lost, _place) = (Instant::now(), 0, place);
        Ok(Self { streams, request, stream, heard, lost, still_may, looks, stopping, _place })
    }

    /// Up to where it was given.
    pub(crate) const fn cursor(&self) -> &LogCursor {
        &self.request.after
    }

    /// What comes next; `None`: there is no more.
    pub(crate) async fn next(&mut self) -> Option<Piece> {
        loop {
            let stream = self.stream.as_mut()?;
            let event = tokio::select! {
                event = timeout_at(self.heard + SILENCE, stream.next()) => event.unwrap_or(None),
                () = self.stopping.cancelled() => {
                    return Some(self.fail("this process is about to end: go on at another, with the cursor"));
                }
                _ = self.looks.tick() => match (self.still_may)().await {
                    // What cannot be looked up now is, the next time.
                    Ok(()) => continue,
                    Err(error) if error.code == ErrorCode::Unavailable => continue,
                    Err(error) => return Some(self.fail(&error.message)),
                },
            };
            self.heard = Instant::now();
            match event {
                Some(LogEvent::Lines { lines, dropped }) => {
                    for line in &lines {
                        self.request.after.give(&line.task, line.output, line.at);
                    }
                    return Some(Piece::Lines(lines, dropped));
                }
                Some(LogEvent::Read { cursor }) => {
                    self.request.after = cursor;
                    return Some(Piece::Beat);
                }
                Some(LogEvent::Missing { tasks }) => return Some(Piece::Missing(tasks)),
                Some(LogEvent::Beat) => return Some(Piece::Beat),
                Some(LogEvent::End) => self.stream = None,
                Some(LogEvent::Failed { why }) => return Some(self.fail(&why)),
                // The worker, or the way to it, is gone.
                None | Some(LogEvent::Busy) => match self.open_again().await {
                    Ok(stream) => (self.stream, self.heard) = (Some(stream), Instant::now()),
                    Err(error) => return Some(self.fail(&error.message)),
                },
            }
        }
    }

    fn fail(&mut self, why: &str) -> Piece {
        self.stream = None;
        Piece::Failed(why.to_owned())
    }

    async fn open_again(&mut self) -> Result<Stream> {
        self.lost += 1;
        if self.lost > MOST_LOST {
            return Err(unavailable(Unanswered::TooLate));
        }
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
