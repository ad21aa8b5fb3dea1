//! Reading tasks: each from where it was given up to, and several at once in the order of their times.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures::future::join_all;
use futures::stream::{Peekable, Stream, StreamExt as _, unfold};
use model::log::{LogCursor, LogLine, LogRequest, LogTask, Output};
use tokio::time::timeout;

use super::behind::Behind;
use crate::swarm::docker::DockerSwarm;
use crate::swarm::docker::logs::{Lines, RawLine};
use crate::swarm::{SwarmResult, Task};

const SECOND: i64 = 1_000_000_000;
/// A line that is older than the one before by more than this was printed after the node's clock was set back, in nanoseconds.
const SET_BACK: i64 = 60 * SECOND;
/// How long what was printed already may be in coming: a node that is silent for longer keeps the others waiting no more.
const PATIENCE: Duration = Duration::from_secs(10);

/// A line that was not given yet.
pub(super) struct Found {
    pub(super) line: LogLine,
    /// Whether it is one that is asked for.
    pub(super) is_asked_for: bool,
    /// Whether so much was printed since that lines may be passed over from here on.
    pub(super) is_too_late: bool,
}

/// Where reading a task begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// After the last line that was given, and on to the last one that was printed.
    LastGiven,
    /// There, and on with what comes.
    LastGivenOn,
    /// With what comes.
    Now,
}

/// The lines of a task that were not given yet.
pub(super) struct Reader {
    task: LogTask,
    request: Arc<LogRequest>,
    after: LogCursor,
    lines: Pin<Box<dyn Stream<Item = SwarmResult<RawLine>> + Send>>,
    /// Whether it is read for its last line only, from which on it is followed.
    is_for_its_place: bool,
    /// Of each output the line before.
    last: [Last; 2],
    /// How far it is behind; nothing that is printed already is ever passed over.
    behind: Option<Behind>,
}

impl Reader {
    /// Reads a task from its last line on that was given. Of one of which nothing was, the last lines that are asked for; all of them, where it
    /// came later than the log was asked for.
    pub(super) fn of(
        swarm: &DockerSwarm,
        task: &Task,
        request: &Arc<LogRequest>,
        read: &LogCursor,
        start: Start,
    ) -> Self {
        let since = read.since(&task.id);
        let is_looked_back_upon = since.is_none() && read.caught_up().is_none();
        let tail = request.tail.filter(|_| is_looked_back_upon);
        let is_for_its_place = tail == Some(0);
        let (tail, behind) = match start {
            // Without its last line it would not be known where it is.
            Start::LastGiven => (tail.map(|lines| lines.max(1)), None),
            Start::LastGivenOn => (tail.map(|lines| lines.max(1)), Some(Behind::before_the_end())),
            Start::Now => (Some(0), Some(Behind::at_the_end())),
        };
        let lines = Lines {
            since: since.or(request.since).unwrap_or(0) / SECOND,
            tail,
            follow: start != Start::LastGiven,
        };
        Self {
            task: named(task),
            request: Arc::clone(request),
            after: read.clone(),
            lines: Box::pin(swarm.lines(&task.id, lines)),
            is_for_its_place,
            last: [Last::NOTHING; 2],
            behind,
        }
    }

    /// Its next line; `None`: there is no more.
    pub(super) async fn next(&mut self) -> Option<SwarmResult<Found>> {
        loop {
            let RawLine { output, at, text, is_ended } = match self.lines.next().await? {
                Ok(line) => line,
                Err(error) => return Some(Err(error)),
            };
            let place = match output {
                Output::Stdout => 0,
                Output::Stderr => 1,
            };
            let last = &mut self.last[place];
            if last.is_repeated(at) {
                continue;
            }
            *last = last.then(at, is_ended);
            if self.after.is_new(&self.task.task, output, at, last.passed) {
                let LogTask { task, slot } = self.task.clone();
                let line = LogLine { task, slot, output, at, text };
                let is_asked_for = !self.is_for_its_place && self.wants(&line);
                let is_too_late = self.behind.as_mut().is_some_and(|behind| {
                    let now = Utc::now().timestamp_nanos_opt().unwrap_or(at);
                    behind.read(at, line.text.len(), now)
                });
                return Some(Ok(Found { line, is_asked_for, is_too_late }));
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

/// The last line of an output that was read.
#[derive(Debug, Clone, Copy)]
struct Last {
    at: i64,
    /// How many pieces of its time there were before it.
    passed: u32,
    is_ended: bool,
}

impl Last {
    const NOTHING: Self = Self { at: i64::MIN, passed: 0, is_ended: true };

    /// Whether a line is one that came already. When a container's log is rotated, Docker's reader may begin with the new file, and then
    /// once more at its beginning (seen with Docker 20.10: up to 237 lines).
    const fn is_repeated(self, at: i64) -> bool {
        let back = self.at.saturating_sub(at);
        (0 < back && back < SET_BACK) || (back == 0 && self.is_ended)
    }

    const fn then(self, at: i64, is_ended: bool) -> Self {
        let passed = if at == self.at { self.passed.saturating_add(1) } else { 0 };
        Self { at, passed, is_ended }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of these lines are taken for new: their times in seconds, and whether they end.
    fn taken(lines: &[(i64, bool)]) -> Vec<(i64, u32)> {
        let mut last = Last::NOTHING;
        let mut taken = Vec::new();
        for (at, is_ended) in lines {
            if !last.is_repeated(at * SECOND) {
                last = last.then(at * SECOND, *is_ended);
                taken.push((*at, last.passed));
            }
        }
        taken
    }

    #[test]
    fn what_docker_gives_again_is_passed_over() {
        let lines = [1, 2, 3, 4, 3, 4, 5, 5, 6].map(|at| (at, true));
        assert_eq!(taken(&lines), [1, 2, 3, 4, 5, 6].map(|at| (at, 0)));
    }

    #[test]
    fn pieces_of_a_line_are_of_one_time() {
        let lines = [(1, false), (1, false), (1, true), (1, true), (2, false), (2, true)];
        assert_eq!(taken(&lines), [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1)]);
    }

    #[test]
    fn a_clock_that_is_set_back_is_followed() {
        let lines = [100, 101, 30, 31].map(|at| (at, true));
        assert_eq!(taken(&lines), [100, 101, 30, 31].map(|at| (at, 0)));
    }
}
