//! Following: what tasks print from now on, of those that come as well. Whoever reads too slowly is given the newest lines, and told how many
//! were dropped before them. A task whose log breaks off is read again from there; one that has ended is read to its last line.

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use db::log_subjects::LogSubject;
use futures::FutureExt as _;
use futures::stream::{SelectAll, Stream, StreamExt as _, unfold};
use model::log::{LogCursor, LogEvent, LogRequest, LogTask};
use queue::streams::Outlet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::batch::Waiting;
use super::reader::{Found, Reader, Start, named};
use super::{End, Logs, There, made};
use crate::swarm::{SwarmResult, Task};

/// Between two looks for tasks that were made since.
const LOOKS: Duration = Duration::from_secs(2);
/// Looks in a row that may fail.
const PATIENCE: u32 = 15;

/// Lines that are taken at once.
const BURST: usize = 256;

/// What comes of the tasks that are read.
enum Heard {
    Line(Found),
    /// A task's log has ended, or broke off.
    Ended(LogTask, SwarmResult<()>),
}

/// Gives what is printed from now on: of the tasks that were `there`, from where they were read up to.
pub(super) async fn follow(
    logs: &Logs,
    (request, subject): (&Arc<LogRequest>, LogSubject),
    (there, mut read, missing): (There, LogCursor, Vec<LogTask>),
    outlet: &Outlet,
) -> Result<(), End> {
    let now = Utc::now().timestamp_nanos_opt().unwrap_or(0);
    for task in &there.tasks {
        // What could not be read was said to be missing: it is given from now on.
        let is_missing = missing.contains(&named(task));
        read.know(&task.id, if is_missing { now } else { 0 });
    }
    read.catch_up(there.newest);
    outlet.send(LogEvent::Read { cursor: read.clone() }).await?;
    let over = there.tasks.iter().filter(|task| task.is_over());
    let mut following = Following {
        logs,
        request,
        subject,
        given: read.clone(),
        read,
        reading: HashMap::new(),
        closed: over.map(|task| task.id.clone()).collect(),
        missing: missing.into_iter().map(|task| task.task).collect(),
        too_late: HashSet::new(),
        heard: SelectAll::new(),
        failed: 0,
    };
    following.go_on(outlet).await
}

struct Following<'a> {
    logs: &'a Logs,
    request: &'a Arc<LogRequest>,
    subject: LogSubject,
    /// What was read of each task.
    read: LogCursor,
    /// What was sent of it, or dropped.
    given: LogCursor,
    /// The tasks that are read now. Dropped, the reading ends.
    reading: HashMap<String, DropGuard>,
    /// Those of which there is no more.
    closed: HashSet<String>,
    /// Those that are missing, and were said to be.
    missing: HashSet<String>,
    /// Those of them that were read too late, and are read from what is newest on.
    too_late: HashSet<String>,
    heard: SelectAll<Pin<Box<dyn Stream<Item = Heard> + Send>>>,
    /// Looks in a row that failed.
    failed: u32,
}

impl Following<'_> {
    async fn go_on(&mut self, outlet: &Outlet) -> Result<(), End> {
        let mut looks = interval(LOOKS);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut waiting = Waiting::new();
        loop {
            tokio::select! {
                Some(heard) = self.heard.next() => {
                    self.take(heard, &mut waiting);
                    // What is there already costs no timer of its own.
                    for _ in 0..BURST {
                        let Some(Some(heard)) = self.heard.next().now_or_never() else { break };
                        self.take(heard, &mut waiting);
                    }
                }
                () = waiting.is_due(outlet), if !waiting.is_empty() => {
                    waiting.send(&mut self.given, outlet).await?;
                }
                _ = looks.tick() => {
                    let is_all = self.look(&mut waiting, outlet).await?;
                    if is_all && waiting.is_empty() {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn take(&mut self, heard: Heard, waiting: &mut Waiting) {
        match heard {
            Heard::Line(Found { line, is_asked_for, is_too_late }) => {
                self.read.give(&line.task, line.output, line.at);
                self.missing.remove(&line.task);
                let task = LogTask { task: line.task.clone(), slot: line.slot };
                if is_asked_for {
                    waiting.push(line);
                }
                if is_too_late {
                    self.reading.remove(&task.task);
                    self.too_late.insert(task.task.clone());
                    self.miss(task, waiting);
                }
            }
            Heard::Ended(task, outcome) => {
                self.reading.remove(&task.task);
                if let Err(error) = outcome {
                    tracing::debug!(%error, task = task.task, "its log broke off");
                    self.miss(task, waiting);
                }
            }
        }
    }

    /// Says of a task that it is missing, once.
    fn miss(&mut self, task: LogTask, waiting: &mut Waiting) {
        if self.missing.insert(task.task.clone()) {
            waiting.miss(task);
        }
    }

    /// Looks for tasks to read; true: there is no more, and will be none.
    async fn look(&mut self, waiting: &mut Waiting, outlet: &Outlet) -> Result<bool, End> {
        let there = match self.find().await {
            Ok(Some(there)) => there,
            // What there was is gone, and its tasks with it.
            Ok(None) => return Ok(self.reading.is_empty()),
            Err(End::Failed(_)) if self.failed < PATIENCE => {
                self.failed += 1;
                return Ok(false);
            }
            Err(end) => return Err(end),
        };
        self.failed = 0;
        let lost = self.logs.lost.lately(&self.logs.swarm).await;
        for task in &there.tasks {
            if self.closed.contains(&task.id) {
                continue;
            }
            if task.node.as_ref().is_some_and(|node| lost.contains(node)) {
                self.reading.remove(&task.id);
                self.miss(named(task), waiting);
            } else if !self.reading.contains_key(&task.id) {
                self.begin(task);
            }
        }
        let listed: HashSet<&str> = there.tasks.iter().map(|task| task.id.as_str()).collect();
        let gone: Vec<String> =
            self.read.tasks().filter(|task| !listed.contains(task)).map(str::to_owned).collect();
        if !gone.is_empty() {
            for task in gone {
                self.reading.remove(&task);
                self.closed.remove(&task);
                self.missing.remove(&task);
                self.too_late.remove(&task);
                self.read.forget(&task);
                self.given.forget(&task);
            }
            self.read.catch_up(there.newest);
            self.given.catch_up(there.newest);
            outlet.send(LogEvent::Read { cursor: self.given.clone() }).await?;
        }
        let is_past = self.subject.to.is_some();
        Ok(is_past
            && self.reading.is_empty()
            && there.tasks.iter().all(|task| self.closed.contains(&task.id)))
    }

    /// The tasks that are there; `None`: what they are asked of is gone.
    async fn find(&mut self) -> Result<Option<There>, End> {
        // Which tasks are a deployment's is known when the next one begins.
        if self.request.deployment.is_some() {
            let Some(subject) = self.logs.subject(self.request).await? else { return Ok(None) };
            self.subject = subject;
        }
        self.logs.there(&self.subject, self.request).await.map(Some)
    }

    fn begin(&mut self, task: &Task) {
        let is_over = task.is_over();
        let is_known = self.read.knows(&task.id);
        let is_old = self.read.caught_up().is_some_and(|newest| made(task) <= newest);
        if is_over {
            // Read to its end this time, whatever becomes of that.
            self.closed.insert(task.id.clone());
        }
        if is_over && !is_known && is_old {
            // It was over before the log was asked for.
            return;
        }
        let is_late = self.too_late.remove(&task.id);
        let start = match (is_over, is_late) {
            (true, _) => Start::LastGiven,
            (false, true) => Start::Now,
            (false, false) => Start::LastGivenOn,
        };
        let reader = Reader::of(&self.logs.swarm, task, self.request, &self.read, start);
        let goes_on = CancellationToken::new();
        let until = goes_on.clone().cancelled_owned();
        self.reading.insert(task.id.clone(), goes_on.drop_guard());
        self.heard.push(Box::pin(heard(reader, named(task)).take_until(until)));
    }
}

/// What comes of a task, and its end.
fn heard(reader: Reader, task: LogTask) -> impl Stream<Item = Heard> + Send {
    unfold(Some((reader, task)), async |reading| {
        let (mut reader, task) = reading?;
        Some(match reader.next().await {
            Some(Ok(found)) => (Heard::Line(found), Some((reader, task))),
            Some(Err(error)) => (Heard::Ended(task, Err(error)), None),
            None => (Heard::Ended(task, Ok(())), None),
        })
    })
}
