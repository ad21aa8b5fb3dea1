//! Following: what tasks print from now on, of those that come as well. Whoever reads too slowly is given the newest lines, and told how many
//! were dropped before them. A task whose log breaks off is read again from there; one that has ended is read to its last line.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use db::log_subjects::LogSubject;
use futures::FutureExt as _;
use futures::stream::{SelectAll, Stream, StreamExt as _, unfold};
use model::log::{LogCursor, LogRequest, LogTask};
use queue::streams::Outlet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::batch::Waiting;
use super::reader::{Found, Reader, Start, named, now};
use super::{End, Logs, There, made};
use crate::swarm::{SwarmResult, Task, TaskState};

/// Between two looks for tasks that were made since.
const LOOKS: Duration = Duration::from_secs(2);
/// Looks in a row that may fail.
const PATIENCE: u32 = 15;
/// Lines that are taken at once.
const BURST: usize = 256;
/// Looks for which a task that is gone is read on.
const LEAVING: u32 = 5;

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
    (there, mut read, missing): (&There, LogCursor, Vec<LogTask>),
    outlet: &Outlet,
) -> Result<(), End> {
    // What could not be read was said to be missing: of those that run it is given from now on, those that are over are read again.
    let (over, running): (Vec<&Task>, Vec<&Task>) =
        there.tasks.iter().partition(|task| task.is_over());
    for task in running.into_iter().filter(|task| missing.contains(&named(task))) {
        read.know(&task.id, now());
    }
    let closed = over.into_iter().filter(|task| !missing.contains(&named(task)));
    let mut following = Following {
        logs,
        request,
        subject,
        given: read.clone(),
        read,
        reading: HashMap::new(),
        closed: closed.map(|task| task.id.clone()).collect(),
        ending: HashSet::new(),
        leaving: HashMap::new(),
        missing: missing.into_iter().map(|task| task.task).collect(),
        too_late: HashSet::new(),
        is_old: false,
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
    /// What was sent of it.
    given: LogCursor,
    /// The tasks that are read now. Dropped, the reading ends.
    reading: HashMap<String, DropGuard>,
    /// Those of which there is no more.
    closed: HashSet<String>,
    /// Those that are over, and are read to their ends.
    ending: HashSet<String>,
    /// Those that Swarm knows no more and that are read still, and since how many looks.
    leaving: HashMap<String, u32>,
    /// Those that are missing, and were said to be.
    missing: HashSet<String>,
    /// Those of them that were read too late, and are read from what is newest on.
    too_late: HashSet<String>,
    /// Whether the last line that came was printed before its reading began: those wait until there is room for them.
    is_old: bool,
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
            if waiting.is_due_now(outlet) {
                waiting.send(&mut self.given, outlet).await?;
            }
            let may_hear = !(self.is_old && waiting.is_whole());
            tokio::select! {
                Some(heard) = self.heard.next(), if may_hear => {
                    self.take(heard, &mut waiting);
                    // What is there already costs no timer of its own.
                    for _ in 0..BURST {
                        if waiting.is_whole() {
                            break;
                        }
                        let Some(Some(heard)) = self.heard.next().now_or_never() else { break };
                        self.take(heard, &mut waiting);
                    }
                }
                () = waiting.is_due(outlet), if !waiting.is_empty() => {
                    waiting.send(&mut self.given, outlet).await?;
                }
                _ = looks.tick() => {
                    let is_all = self.look(&mut waiting).await?;
                    if is_all && waiting.is_empty() {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn take(&mut self, heard: Heard, waiting: &mut Waiting) {
        match heard {
            Heard::Line(Found { line, is_asked_for, is_old, is_too_late }) => {
                self.is_old = is_old;
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
                self.is_old = false;
                let is_whole = self.ending.remove(&task.task);
                match outcome {
                    Ok(()) if is_whole => drop(self.closed.insert(task.task)),
                    Ok(()) => {}
                    Err(error) => {
                        tracing::debug!(%error, task = task.task, "its log broke off");
                        self.miss(task, waiting);
                    }
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
    async fn look(&mut self, waiting: &mut Waiting) -> Result<bool, End> {
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
            if is_lost(task, &lost) {
                self.stop(&task.id);
                self.read.know(&task.id, self.request.since.unwrap_or(0));
                self.miss(named(task), waiting);
            } else if !self.reading.contains_key(&task.id) {
                self.begin(task);
            } else if task.is_over() && !self.ending.contains(&task.id) {
                // Docker never ends what is followed (moby #36626).
                self.stop(&task.id);
                self.begin(task);
            }
        }
        let listed: HashSet<&str> = there.tasks.iter().map(|task| task.id.as_str()).collect();
        let gone: Vec<String> =
            self.read.tasks().filter(|task| !listed.contains(task)).map(str::to_owned).collect();
        let forgotten = gone.iter().filter(|task| self.forget(task)).count();
        if forgotten > 0 {
            self.read.catch_up(there.newest);
            self.given.catch_up(there.newest);
            waiting.tell();
        }
        if waiting.is_empty() && self.given != self.read {
            // What was read and not given is not asked for.
            self.given = self.read.clone();
            waiting.tell();
        }
        let is_past = self.subject.to.is_some();
        // One that nobody wants any more, on a node that is lost, is over as far as anybody can tell.
        let is_done = |task: &Task| {
            self.closed.contains(&task.id)
                || (task.desired > TaskState::Running && is_lost(task, &lost))
        };
        Ok(is_past && self.reading.is_empty() && there.tasks.iter().all(is_done))
    }

    /// A task is gone; false: what it printed last may still be on its way.
    fn forget(&mut self, task: &str) -> bool {
        if self.reading.contains_key(task) {
            let looks = self.leaving.entry(task.to_owned()).or_default();
            *looks += 1;
            if *looks < LEAVING {
                return false;
            }
        }
        self.stop(task);
        self.leaving.remove(task);
        self.closed.remove(task);
        self.missing.remove(task);
        self.too_late.remove(task);
        self.read.forget(task);
        self.given.forget(task);
        true
    }

    fn stop(&mut self, task: &str) {
        self.reading.remove(task);
        self.ending.remove(task);
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
        if is_over && !is_known && is_old && !self.missing.contains(&task.id) {
            // It was over before the log was asked for.
            self.closed.insert(task.id.clone());
            return;
        }
        self.read.know(&task.id, self.request.since.unwrap_or(0));
        if is_over {
            self.ending.insert(task.id.clone());
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

fn is_lost(task: &Task, lost: &BTreeSet<String>) -> bool {
    task.node.as_ref().is_some_and(|node| lost.contains(node))
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
