//! Reading a task from where it was given up to, and going on with what it prints. Docker's own reader may stand still at a rotation until
//! the next one, and then pass over what lies between (a file was seen to be missing with Docker 20.10; how,
//! its source says): who follows and hears nothing asks what the last line is.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures::stream::{Stream, StreamExt as _};
use model::log::{LogCursor, LogLine, LogRequest, LogTask, Output};
use tokio::time::timeout;

use super::behind::Behind;
use crate::swarm::docker::DockerSwarm;
use crate::swarm::docker::logs::{Lines, RawLine};
use crate::swarm::{SwarmResult, Task};

const SECOND: i64 = 1_000_000_000;
/// How long a task may be silent before its last line is asked for.
const SILENT: Duration = Duration::from_secs(30);
/// The same where much was printed: its log is rotated the more often.
const SUDDENLY_SILENT: Duration = Duration::from_secs(1);
/// So much, in bytes since its last line was asked for.
const MUCH: usize = 32 * 1024;
/// How long a last line that was not heard may still be on its way.
const ON_ITS_WAY: Duration = Duration::from_millis(500);
/// How long it may take to be told what the last line is.
const TOLD: Duration = Duration::from_secs(5);

/// A line that was not given yet.
pub(super) struct Found {
    pub(super) line: LogLine,
    /// Whether it is one that is asked for.
    pub(super) is_asked_for: bool,
    /// Whether it was printed before reading began: such lines wait for room.
    pub(super) is_old: bool,
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
    /// With what comes after the last one that was printed.
    Now,
}

/// The lines of a task that were not given yet.
pub(super) struct Reader {
    swarm: Arc<DockerSwarm>,
    pub(super) task: LogTask,
    request: Arc<LogRequest>,
    /// What was given before.
    after: LogCursor,
    lines: RawLines,
    /// Whether it is read for its last line only, from which on it is followed.
    is_for_its_place: bool,
    /// Whether its first line is that one.
    is_after_its_first: bool,
    /// Of each output the line before.
    last: [Last; 2],
    /// What is known of a reading that goes on; of what was printed already Docker passes over nothing.
    going_on: Option<GoingOn>,
}

type RawLines = Pin<Box<dyn Stream<Item = SwarmResult<RawLine>> + Send>>;

struct GoingOn {
    /// When it began, in nanoseconds since 1970: what was printed before then, Docker passes over nothing of.
    began: i64,
    behind: Behind,
    /// Bytes that were heard since its last line was asked for.
    heard: usize,
    /// Whether there is a line that did not come.
    is_suspect: bool,
}

impl GoingOn {
    fn new(behind: Behind) -> Self {
        // Where it began just now, a rotation may have been missed at once.
        Self { began: now(), behind, heard: MUCH, is_suspect: false }
    }

    /// How long the next line is waited for.
    const fn patience(&self) -> Duration {
        match (self.is_suspect, self.heard >= MUCH) {
            (true, _) => ON_ITS_WAY,
            (false, true) => SUDDENLY_SILENT,
            (false, false) => SILENT,
        }
    }
}

impl Reader {
    /// Reads a task from its last line on that was given. Of one of which nothing was, the last lines that are asked for; all of them, where it
    /// came later than the log was asked for.
    pub(super) fn of(
        swarm: &Arc<DockerSwarm>,
        task: &Task,
        request: &Arc<LogRequest>,
        read: &LogCursor,
        start: Start,
    ) -> Self {
        let since = read.since(&task.id);
        let is_looked_back_upon = since.is_none() && read.caught_up().is_none();
        let tail = request.tail.filter(|_| is_looked_back_upon);
        let is_for_its_place = tail == Some(0);
        let (tail, going_on) = match start {
            // Without its last line it would not be known where it is.
            Start::LastGiven => (tail.map(|lines| lines.max(1)), None),
            Start::LastGivenOn => {
                (tail.map(|lines| lines.max(1)), Some(GoingOn::new(Behind::before_the_end())))
            }
            Start::Now => (Some(1), Some(GoingOn::new(Behind::at_the_end()))),
        };
        let lines = Lines {
            since: since.or(request.since).unwrap_or(0) / SECOND,
            tail,
            follow: start != Start::LastGiven,
        };
        Self {
            swarm: Arc::clone(swarm),
            task: named(task),
            request: Arc::clone(request),
            after: read.clone(),
            lines: Box::pin(swarm.lines(&task.id, lines)),
            is_for_its_place,
            is_after_its_first: start == Start::Now,
            last: [Last::NOTHING; 2],
            going_on,
        }
    }

    /// Its next line; `None`: there is no more.
    pub(super) async fn next(&mut self) -> Option<SwarmResult<Found>> {
        loop {
            let RawLine { output, at, text, is_ended } = match self.line().await? {
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
            if std::mem::take(&mut self.is_after_its_first) {
                continue;
            }
            if self.after.is_new(&self.task.task, output, at, last.passed) {
                let LogTask { task, slot } = self.task.clone();
                let line = LogLine { task, slot, output, at, text };
                let is_asked_for = !self.is_for_its_place && self.wants(&line);
                let is_old = self.going_on.as_ref().is_none_or(|going_on| at < going_on.began);
                let is_too_late = self.going_on.as_mut().is_some_and(|going_on| {
                    going_on.heard = going_on.heard.saturating_add(line.text.len());
                    !is_old && going_on.behind.read(at, line.text.len(), now())
                });
                return Some(Ok(Found { line, is_asked_for, is_old, is_too_late }));
            }
        }
    }

    /// The next line that Docker gives. Where it gives none, that there is none is not believed.
    async fn line(&mut self) -> Option<SwarmResult<RawLine>> {
        loop {
            let Some(going_on) = &mut self.going_on else { return self.lines.next().await };
            if let Ok(line) = timeout(going_on.patience(), self.lines.next()).await {
                going_on.is_suspect = false;
                return line;
            }
            if std::mem::take(&mut going_on.is_suspect) {
                tracing::debug!(task = self.task.task, "its log stood still, and is read again");
                self.begin_again();
                continue;
            }
            let has_more = self.has_more().await;
            if let (Some(going_on), Some(has_more)) = (&mut self.going_on, has_more) {
                (going_on.heard, going_on.is_suspect) = (0, has_more);
            }
        }
    }

    /// Whether there is a line that was not heard; `None`: that cannot be told now.
    async fn has_more(&mut self) -> Option<bool> {
        let last = Lines { since: 0, tail: Some(1), follow: false };
        let mut last = pin!(self.swarm.lines(&self.task.task, last));
        let Ok(last) = timeout(TOLD, last.next()).await else { return None };
        // None at all is the last one of who printed nothing.
        let Some(last) = last else { return Some(false) };
        let last = last.ok()?;
        let heard = self.last.iter().map(|last| last.at).max();
        let heard = heard.max(self.after.newest(&self.task.task));
        Some(heard < Some(last.at))
    }

    /// Reads from the last line on that was heard.
    fn begin_again(&mut self) {
        for (output, last) in [Output::Stdout, Output::Stderr].into_iter().zip(self.last) {
            if last.at > i64::MIN {
                let count = last.passed.saturating_add(1);
                self.after.reach(&self.task.task, output, last.at, count);
            }
        }
        self.last = [Last::NOTHING; 2];
        self.is_after_its_first = false;
        let since = self.after.since(&self.task.task).or(self.request.since).unwrap_or(0);
        let lines = Lines { since: since / SECOND, tail: None, follow: true };
        self.lines = Box::pin(self.swarm.lines(&self.task.task, lines));
        self.going_on = self.going_on.take().map(|going_on| GoingOn::new(going_on.behind.again()));
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
    /// once more at its beginning (seen with Docker 20.10: up to 237 lines); a node whose daemon was started again gives all of it once more.
    const fn is_repeated(self, at: i64) -> bool {
        at < self.at || (at == self.at && self.is_ended)
    }

    const fn then(self, at: i64, is_ended: bool) -> Self {
        let passed = if at == self.at { self.passed.saturating_add(1) } else { 0 };
        Self { at, passed, is_ended }
    }
}

/// The time, in nanoseconds since 1970.
pub(super) fn now() -> i64 {
    Utc::now().timestamp_nanos_opt().unwrap_or(0)
}

/// A task by its names.
pub(super) fn named(task: &Task) -> LogTask {
    LogTask { task: task.id.clone(), slot: task.slot }
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
}
