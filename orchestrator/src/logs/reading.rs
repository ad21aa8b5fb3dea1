//! Reading tasks: each from where it was given up to, and several at once in the order of their times.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use futures::stream::{Peekable, Stream, StreamExt as _, unfold};
use model::log::{LogCursor, LogLine, LogRequest, LogTask, Output};
use tokio::time::timeout;

use crate::swarm::docker::DockerSwarm;
use crate::swarm::docker::logs::{Lines, RawLine};
use crate::swarm::{SwarmResult, Task};

const SECOND: i64 = 1_000_000_000;
/// How long what was printed already may be in coming: a node that is silent for longer keeps the others waiting no more.
const PATIENCE: Duration = Duration::from_secs(10);

/// A line that was not given yet.
pub(super) struct Found {
    pub(super) line: LogLine,
    /// Whether it is one that is asked for.
    pub(super) is_asked_for: bool,
}

/// The lines of a task that were not given yet.
pub(super) struct Reader {
    task: LogTask,
    request: Arc<LogRequest>,
    after: LogCursor,
    lines: Pin<Box<dyn Stream<Item = SwarmResult<RawLine>> + Send>>,
    /// Whether it is read for its last line only, from which on it is followed.
    is_for_its_place: bool,
    /// Of each output the time of the line before, and how many of that time there were.
    last: [(i64, u32); 2],
}

impl Reader {
    /// Reads a task from its last line on that was given. Of one of which nothing was, the last lines that are asked for; all of them, where it
    /// came later than the log was asked for.
    pub(super) fn of(
        swarm: &DockerSwarm,
        task: &Task,
        request: &Arc<LogRequest>,
        read: &LogCursor,
        follow: bool,
    ) -> Self {
        let since = read.since(&task.id);
        let is_looked_back_upon = since.is_none() && read.caught_up().is_none();
        let tail = request.tail.filter(|_| is_looked_back_upon);
        let lines = Lines {
            since: since.or(request.since).unwrap_or(0) / SECOND,
            // Without its last line it would not be known where it is.
            tail: tail.map(|lines| lines.max(1)),
            follow,
        };
        Self {
            task: named(task),
            request: Arc::clone(request),
            after: read.clone(),
            lines: Box::pin(swarm.lines(&task.id, lines)),
            is_for_its_place: tail == Some(0),
            last: [(i64::MIN, 0); 2],
        }
    }

    /// Its next line; `None`: there is no more.
    pub(super) async fn next(&mut self) -> Option<SwarmResult<Found>> {
        loop {
            let RawLine { output, at, text } = match self.lines.next().await? {
                Ok(line) => line,
                Err(error) => return Some(Err(error)),
            };
            let place = match output {
                Output::Stdout => 0,
                Output::Stderr => 1,
            };
            let (last, passed) = &mut self.last[place];
            if at == *last {
                *passed += 1;
            } else {
                (*last, *passed) = (at, 0);
            }
            if self.after.is_new(&self.task.task, output, at, *passed) {
                let LogTask { task, slot } = self.task.clone();
                let line = LogLine { task, slot, output, at, text };
                let is_asked_for = !self.is_for_its_place && self.wants(&line);
                return Some(Ok(Found { line, is_asked_for }));
            }
        }
    }

    fn wants(&self, line: &LogLine) -> bool {
        let LogRequest { since, until, contains, .. } = &*self.request;
        since.is_none_or(|since| line.at >= since)
            && until.is_none_or(|until| line.at < until)
            && contains.as_ref().is_none_or(|text| line.text.contains(text.as_str()))
    }
}

/// A task by its names.
pub(super) fn named(task: &Task) -> LogTask {
    LogTask { task: task.id.clone(), slot: task.slot }
}

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
