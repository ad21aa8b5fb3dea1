//! Logs: gives an API what the tasks of an app print. Each task is read by itself, for lines of a whole service cannot be told apart; what was
//! printed already comes in the order of its time, what is printed from then on in batches of a moment. Nothing here is kept, and nothing
//! changes anything.

mod following;
mod reading;

use std::sync::Arc;
use std::time::Duration;

use db::Database;
use db::log_subjects::{LogSubject, log_subject};
use model::log::{LogCursor, LogEvent, LogLine, LogRequest};
use queue::streams::{Gone, Outlet};
use tokio::time::{Instant, timeout_at};

use crate::swarm::docker::DockerSwarm;
use crate::swarm::{Swarm as _, SwarmError, Task, TaskState};
use reading::{Merged, Reader};

/// Tasks that are read at most: those that run, then those that ended last.
const MOST_TASKS: usize = 128;
/// Of lines in a batch, in bytes.
const BATCH: usize = 64 * 1024;
/// How long a batch waits for more lines.
const MOMENT: Duration = Duration::from_millis(50);

/// Gives logs.
pub struct Logs {
    /// Where apps are.
    pub database: Database,
    /// Where their tasks are.
    pub swarm: Arc<DockerSwarm>,
}

impl Logs {
    /// Gives what is asked for, until there is no more; an error is a sentence for whoever asked.
    pub async fn give(&self, request: LogRequest, outlet: Arc<Outlet>) -> Result<(), String> {
        let subject = log_subject(&self.database, request.app, request.deployment).await;
        let subject = subject.map_err(|error| {
            tracing::warn!(error = %error.chain(), "whose logs are asked for is not known");
            "the database does not answer".to_owned()
        })?;
        // Of what was never started nothing was printed.
        let Some(subject) = subject else { return Ok(()) };
        let tasks = self.tasks(&subject, &request).await?;
        let mut read = request.after.clone();
        let outcome = match self.history(&tasks, &request, &mut read, &outlet).await {
            Ok(()) if request.follow => {
                following::follow(self, &subject, &request, read, &outlet).await
            }
            outcome => outcome,
        };
        match outcome {
            // Nobody listens: nobody is told.
            Ok(()) | Err(End::Gone) => Ok(()),
            Err(End::Failed(why)) => Err(why),
        }
    }

    /// The tasks that are asked for, oldest first.
    async fn tasks(&self, subject: &LogSubject, request: &LogRequest) -> Result<Vec<Task>, String> {
        let tasks = self.swarm.tasks(&subject.service).await.map_err(sentence)?;
        let is_asked_for = |task: &Task| {
            let made = task.created_at;
            // One that has no container yet has printed nothing.
            task.state >= TaskState::Starting
                && request.task.as_ref().is_none_or(|wanted| *wanted == task.id)
                && subject.from.is_none_or(|from| made.is_some_and(|made| made >= from))
                && subject.to.is_none_or(|to| made.is_some_and(|made| made < to))
        };
        let mut tasks: Vec<Task> = tasks.into_iter().filter(is_asked_for).collect();
        tasks.sort_by_key(|task| {
            std::cmp::Reverse((task.state == TaskState::Running, task.created_at))
        });
        tasks.truncate(MOST_TASKS);
        tasks.reverse();
        Ok(tasks)
    }

    /// What the tasks have printed already, in the order of its time.
    async fn history(
        &self,
        tasks: &[Task],
        request: &LogRequest,
        read: &mut LogCursor,
        outlet: &Outlet,
    ) -> Result<(), End> {
        let readers = tasks.iter().map(|task| Reader::of(&self.swarm, task, request, false));
        let mut merged = Merged::new(readers.collect());
        let mut batch = Batch::default();
        loop {
            let next = match batch.deadline() {
                Some(deadline) => timeout_at(deadline, merged.next()).await,
                None => Ok(merged.next().await),
            };
            match next {
                Ok(Some(line)) => {
                    read.give(&line.task, line.at);
                    if wanted(request, &line) {
                        batch.push(line);
                    }
                }
                Ok(None) => return batch.send(outlet).await,
                Err(_) => {}
            }
            if batch.is_due() {
                batch.send(outlet).await?;
            }
        }
    }
}

/// Why nothing more is given.
enum End {
    /// Nobody listens any more.
    Gone,
    /// A sentence.
    Failed(String),
}

impl From<Gone> for End {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

/// Whether a line is one that is asked for.
fn wanted(request: &LogRequest, line: &LogLine) -> bool {
    request.since.is_none_or(|since| line.at >= since)
        && request.until.is_none_or(|until| line.at < until)
        && request.contains.as_ref().is_none_or(|text| line.text.contains(text.as_str()))
}

fn sentence(error: SwarmError) -> String {
    tracing::warn!(%error, "logs cannot be read");
    "the swarm does not answer".to_owned()
}

/// Lines that are sent together.
#[derive(Default)]
struct Batch {
    lines: Vec<LogLine>,
    bytes: usize,
    begun: Option<Instant>,
}

impl Batch {
    fn push(&mut self, line: LogLine) {
        self.bytes += size(&line);
        self.lines.push(line);
        self.begun.get_or_insert_with(Instant::now);
    }

    /// When it is sent at the latest.
    fn deadline(&self) -> Option<Instant> {
        self.begun.map(|begun| begun + MOMENT)
    }

    fn is_due(&self) -> bool {
        self.bytes >= BATCH || self.deadline().is_some_and(|deadline| deadline <= Instant::now())
    }

    async fn send(&mut self, outlet: &Outlet) -> Result<(), End> {
        let Self { lines, .. } = std::mem::take(self);
        if lines.is_empty() {
            return Ok(());
        }
        Ok(outlet.send(LogEvent::Lines { lines, dropped: 0 }).await?)
    }
}

/// Bytes that a line takes on the broker, about.
fn size(line: &LogLine) -> usize {
    line.text.len() + 96
}
