//! Several tasks read at once, in the order of their lines' times.

use std::pin::Pin;
use std::time::Duration;

use futures::future::join_all;
use futures::stream::{Peekable, Stream, StreamExt as _, unfold};
use model::log::LogTask;
use tokio::time::timeout;

use super::reader::{Found, Reader};
use crate::swarm::SwarmResult;

/// How long what was printed already may be in coming: a node that is silent for longer keeps the others waiting no more.
const PATIENCE: Duration = Duration::from_secs(10);

/// Several tasks, in the order of their lines' times.
pub(super) struct Merged {
    sources: Vec<Source>,
    /// Those that cannot be read, or not to their ends.
    missing: Vec<LogTask>,
}

struct Source {
    task: LogTask,
    lines: Pin<Box<Peekable<Unread>>>,
}

/// Lines that were not given yet.
type Unread = Pin<Box<dyn Stream<Item = SwarmResult<Found>> + Send>>;

/// What a source has next.
enum Head {
    /// A line of this time.
    At(i64),
    End,
    Missing,
}

impl Source {
    async fn head(&mut self) -> Head {
        match timeout(PATIENCE, self.lines.as_mut().peek()).await {
            Ok(Some(Ok(found))) => Head::At(found.line.at),
            Ok(None) => Head::End,
            Ok(Some(Err(error))) => {
                tracing::debug!(%error, task = self.task.task, "its log cannot be read");
                Head::Missing
            }
            Err(_) => {
                tracing::warn!(task = self.task.task, "its log does not come");
                Head::Missing
            }
        }
    }
}

impl Merged {
    pub(super) fn new(readers: impl Iterator<Item = Reader>) -> Self {
        let source = |reader: Reader| {
            let task = reader.task.clone();
            let lines: Unread = Box::pin(unfold(reader, async |mut reader| {
                let found = reader.next().await?;
                Some((found, reader))
            }));
            Source { task, lines: Box::pin(lines.peekable()) }
        };
        Self { sources: readers.map(source).collect(), missing: Vec::new() }
    }

    /// The oldest line that was not given yet. May be given up in between: nothing is lost.
    pub(super) async fn next(&mut self) -> Option<Found> {
        let heads = join_all(self.sources.iter_mut().map(Source::head)).await;
        let times = heads.iter().enumerate().filter_map(|(index, head)| match head {
            Head::At(at) => Some((*at, index)),
            Head::End | Head::Missing => None,
        });
        let oldest = times.min();
        let found = match oldest {
            Some((_, index)) => self.sources[index].lines.next().await,
            None => None,
        };
        let mut left = Vec::with_capacity(self.sources.len());
        for (source, head) in self.sources.drain(..).zip(&heads) {
            match head {
                Head::At(_) => left.push(source),
                Head::End => {}
                Head::Missing => self.missing.push(source.task),
            }
        }
        self.sources = left;
        found.and_then(Result::ok)
    }

    /// The tasks that could not be read, or not to their ends.
    pub(super) fn missing(self) -> Vec<LogTask> {
        self.missing
    }
}
