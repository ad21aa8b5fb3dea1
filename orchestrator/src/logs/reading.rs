//! Reading tasks: each from where it was given up to, and several at once in the order of their times.

use std::pin::Pin;

use futures::future::join_all;
use futures::stream::{Peekable, Stream, StreamExt as _};
use model::log::{LogCursor, LogLine, LogRequest};

use crate::swarm::docker::DockerSwarm;
use crate::swarm::docker::logs::{Lines, RawLine};
use crate::swarm::{SwarmResult, Task};

const SECOND: i64 = 1_000_000_000;

/// The lines of a task that were not given yet.
pub(super) struct Reader {
    task: String,
    slot: i64,
    after: LogCursor,
    lines: Pin<Box<dyn Stream<Item = SwarmResult<RawLine>> + Send>>,
    /// The time of the line before, and how many of that time there were.
    last: (i64, u32),
}

impl Reader {
    /// Reads a task as it is asked for; from its last line on that was given, where one was.
    pub(super) fn of(swarm: &DockerSwarm, task: &Task, request: &LogRequest, follow: bool) -> Self {
        Self::after(swarm, task, (request, &request.after), follow)
    }

    /// The same, from where `read` says.
    pub(super) fn after(
        swarm: &DockerSwarm,
        task: &Task,
        (request, read): (&LogRequest, &LogCursor),
        follow: bool,
    ) -> Self {
        let made = task.created_at.and_then(|made| made.timestamp_nanos_opt());
        // What was made since is new from its first line on.
        let is_new = request.begun.zip(made).is_some_and(|(begun, made)| made >= begun);
        let given = read.of(&task.id);
        let since = given.or(request.since).unwrap_or(0) / SECOND;
        let tail = if given.is_some() || is_new { None } else { request.tail };
        let lines = swarm.lines(&task.id, Lines { since, tail, follow });
        Self {
            task: task.id.clone(),
            slot: task.slot,
            after: read.clone(),
            lines: Box::pin(lines),
            last: (i64::MIN, 0),
        }
    }

    /// Its next line; `None`: there is no more. What cannot be read (its node is away, its container is gone) is no more, too.
    pub(super) async fn next(&mut self) -> Option<LogLine> {
        loop {
            let line = match self.lines.next().await? {
                Ok(line) => line,
                Err(error) => {
                    tracing::debug!(%error, task = self.task, "its log ended");
                    return None;
                }
            };
            let (at, passed) = &mut self.last;
            if line.at == *at {
                *passed += 1;
            } else {
                (*at, *passed) = (line.at, 0);
            }
            if self.after.is_new(&self.task, line.at, *passed) {
                let RawLine { output, at, text } = line;
                return Some(LogLine {
                    task: self.task.clone(),
                    slot: self.slot,
                    output,
                    at,
                    text,
                });
            }
        }
    }

    /// As a stream.
    fn stream(self) -> impl Stream<Item = LogLine> + Send {
        futures::stream::unfold(self, async |mut reader| {
            let line = reader.next().await?;
            Some((line, reader))
        })
    }
}

type Source = Pin<Box<Peekable<Pin<Box<dyn Stream<Item = LogLine> + Send>>>>>;

/// Several tasks, in the order of their lines' times.
pub(super) struct Merged(Vec<Source>);

impl Merged {
    pub(super) fn new(readers: Vec<Reader>) -> Self {
        let source = |reader: Reader| -> Source {
            let lines: Pin<Box<dyn Stream<Item = LogLine> + Send>> = Box::pin(reader.stream());
            Box::pin(lines.peekable())
        };
        Self(readers.into_iter().map(source).collect())
    }

    /// The oldest line that was not given yet. May be given up in between: nothing is lost.
    pub(super) async fn next(&mut self) -> Option<LogLine> {
        let heads = join_all(
            self.0.iter_mut().map(async |source| source.as_mut().peek().await.map(|line| line.at)),
        );
        let heads = heads.await;
        let oldest = heads.iter().enumerate().filter_map(|(index, at)| Some(((*at)?, index))).min();
        let (_, index) = oldest?;
        let line = self.0[index].next().await;
        // What has ended is not asked again.
        let mut ended = heads.iter().map(Option::is_none);
        self.0.retain(|_| !ended.next().unwrap_or(false));
        line
    }
}
