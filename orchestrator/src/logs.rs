//! Logs: gives an API what the tasks of an app print. Each task is read by itself, for lines of a whole service cannot be told apart; what was
//! printed already comes in the order of its time, what is printed from then on in batches of a moment. Nothing here is kept, and nothing
//! changes anything.

mod batch;
mod behind;
mod following;
mod lost;
mod merged;
mod reader;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use db::Database;
use db::log_subjects::{LogSubject, log_subject};
use model::log::{LogCursor, LogEvent, LogRequest, LogTask, MAX_CURSOR_TASKS};
use queue::streams::{Gone, Outlet};
use tokio::time::timeout_at;

use crate::swarm::docker::DockerSwarm;
use crate::swarm::{Swarm as _, SwarmError, Task, TaskState};
use batch::Batch;
use lost::Lost;
use merged::Merged;
use reader::{Reader, Start, named};

/// Tasks that are read at most, those that run before those that do not, and of each the newest: twice as many as an app may have replicas, and
/// as many as a cursor tells of.
const MOST_TASKS: usize = MAX_CURSOR_TASKS;

/// Gives logs.
pub struct Logs {
    database: Database,
    swarm: Arc<DockerSwarm>,
    lost: Lost,
}

impl Logs {
    /// Of the apps in `database`, whose tasks are in `swarm`.
    pub fn new(database: Database, swarm: Arc<DockerSwarm>) -> Self {
        Self { database, swarm, lost: Lost::default() }
    }

    /// Gives what is asked for, until there is no more; an error is a sentence for whoever asked.
    pub async fn give(&self, request: LogRequest, outlet: Arc<Outlet>) -> Result<(), String> {
        match self.give_all(&Arc::new(request), &outlet).await {
            // Nobody listens: nobody is told.
            Ok(()) | Err(End::Gone) => Ok(()),
            Err(End::Failed(why)) => Err(why),
        }
    }

    async fn give_all(&self, request: &Arc<LogRequest>, outlet: &Outlet) -> Result<(), End> {
        // Of what there is not, nothing was printed.
        let Some(subject) = self.subject(request).await? else { return Ok(()) };
        let there = self.there(&subject, request).await?;
        let (mut read, missing) = self.history(&there.tasks, request, outlet).await?;
        if !missing.is_empty() {
            outlet.send(LogEvent::Missing { tasks: missing.clone() }).await?;
        }
        // Of who has printed nothing that is asked for, everything is given from then on.
        for task in there.tasks.iter().filter(|task| !missing.contains(&named(task))) {
            read.know(&task.id, request.since.unwrap_or(0));
        }
        // What was printed after the end that is asked for, was read and not given.
        if request.until.is_none() {
            read.catch_up(there.newest);
            outlet.send(LogEvent::Read { cursor: read.clone() }).await?;
        }
        if !request.follow {
            return Ok(());
        }
        following::follow(self, (request, subject), (&there, read, missing), outlet).await
    }

    async fn subject(&self, request: &LogRequest) -> Result<Option<LogSubject>, End> {
        let subject = log_subject(&self.database, request.app, request.deployment).await;
        subject.map_err(|error| {
            tracing::warn!(error = %error.chain(), "whose logs are asked for is not known");
            End::Failed("the database does not answer".to_owned())
        })
    }

    /// The tasks that are asked for, oldest first.
    async fn there(&self, subject: &LogSubject, request: &LogRequest) -> Result<There, End> {
        if subject.is_awaited {
            return Ok(There { tasks: Vec::new(), newest: 0 });
        }
        let mut tasks = self.swarm.tasks(&subject.service).await.map_err(sentence)?;
        tasks.retain(|task| {
            let made = task.created_at;
            request.task.as_ref().is_none_or(|wanted| *wanted == task.id)
                && subject.from.is_none_or(|from| made.is_some_and(|made| made >= from))
                && subject.to.is_none_or(|to| made.is_some_and(|made| made < to))
        });
        // One that has no container yet has printed nothing.
        let (mut tasks, to_come): (Vec<Task>, Vec<Task>) =
            tasks.into_iter().partition(|task| task.state >= TaskState::Starting);
        let newest = tasks.iter().map(made).max().unwrap_or(0);
        let to_come = to_come.iter().map(|task| made(task) - 1).min();
        tasks.sort_by_key(|task| {
            std::cmp::Reverse((task.state == TaskState::Running, task.created_at))
        });
        tasks.truncate(MOST_TASKS);
        tasks.reverse();
        Ok(There { tasks, newest: to_come.map_or(newest, |oldest| newest.min(oldest)) })
    }

    /// What the tasks have printed already, in the order of its time; how far each was read, and those that could not be, or not to their ends.
    async fn history(
        &self,
        tasks: &[Task],
        request: &Arc<LogRequest>,
        outlet: &Outlet,
    ) -> Result<(LogCursor, Vec<LogTask>), End> {
        let mut read = request.after.clone();
        let readers = tasks
            .iter()
            .map(|task| Reader::of(&self.swarm, task, request, &request.after, Start::LastGiven));
        let mut merged = Merged::new(readers);
        let mut batch = Batch::default();
        loop {
            let next = match batch.deadline() {
                Some(deadline) => timeout_at(deadline, merged.next()).await,
                None => Ok(merged.next().await),
            };
            match next {
                Ok(Some(found)) => {
                    let line = found.line;
                    read.give(&line.task, line.output, line.at);
                    if found.is_asked_for {
                        batch.push(line);
                    }
                }
                Ok(None) => {
                    batch.send(outlet).await?;
                    return Ok((read, merged.missing()));
                }
                Err(_) => {}
            }
            if batch.is_due() {
                batch.send(outlet).await?;
            }
        }
    }
}

/// The tasks that are there.
struct There {
    tasks: Vec<Task>,
    /// What was made after then (in nanoseconds since 1970) is none of them.
    newest: i64,
}

/// When a task was made, in nanoseconds since 1970.
fn made(task: &Task) -> i64 {
    task.created_at.as_ref().and_then(DateTime::<Utc>::timestamp_nanos_opt).unwrap_or(0)
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

fn sentence(error: SwarmError) -> End {
    tracing::warn!(%error, "logs cannot be read");
    End::Failed("the swarm does not answer".to_owned())
}
