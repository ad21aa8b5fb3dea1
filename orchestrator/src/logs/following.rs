//! Following: what tasks print from now on, of those that come as well. Whoever reads too slowly is given the newest lines, and told how many
//! were dropped before them.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use db::log_subjects::LogSubject;
use model::log::{LogCursor, LogEvent, LogLine, LogRequest};
use queue::streams::Outlet;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::reading::Reader;
use super::{BATCH, End, Logs, MOMENT, size, wanted};

/// Between two looks for tasks that were made since.
const NEW_TASKS: Duration = Duration::from_secs(2);
/// Lines that wait to be gathered, of all tasks.
const GATHERED: usize = 1024;
/// Of lines that wait for credit, in bytes; the oldest are dropped beyond.
const WAITING: usize = 256 * 1024;
/// Bytes a second that one stream is given at most, and at once.
const RATE: f64 = 1_048_576.0;

pub(super) async fn follow(
    logs: &Logs,
    subject: &LogSubject,
    request: &LogRequest,
    read: LogCursor,
    outlet: &Outlet,
) -> Result<(), End> {
    let (lines, mut gathered) = mpsc::channel(GATHERED);
    let mut readers = JoinSet::new();
    let mut known = HashSet::new();
    let mut looks = interval(NEW_TASKS);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut waiting = Waiting::new();
    loop {
        let due = waiting.due(outlet.has_credit());
        tokio::select! {
            line = gathered.recv() => match line {
                Some(line) if wanted(request, &line) => waiting.push(line),
                Some(_) => {}
                // Not while `lines` is held here.
                None => return Ok(()),
            },
            () = sleep_until(due) => waiting.send(outlet).await?,
            _ = looks.tick() => {
                let tasks = logs.tasks(subject, request).await.map_err(End::Failed)?;
                for task in tasks.iter().filter(|task| !task.is_over()) {
                    if known.insert(task.id.clone()) {
                        let mut reader = Reader::after(&logs.swarm, task, (request, &read), true);
                        let lines = lines.clone();
                        readers.spawn(async move {
                            while let Some(line) = reader.next().await {
                                if lines.send(line).await.is_err() {
                                    return;
                                }
                            }
                        });
                    }
                }
            }
        }
    }
}

/// Lines on their way out.
struct Waiting {
    lines: VecDeque<LogLine>,
    bytes: usize,
    dropped: u64,
    /// When the first of them came.
    begun: Instant,
    /// Bytes that may be sent at `counted`.
    allowance: f64,
    counted: Instant,
}

impl Waiting {
    fn new() -> Self {
        let now = Instant::now();
        let lines = VecDeque::new();
        Self { lines, bytes: 0, dropped: 0, begun: now, allowance: RATE, counted: now }
    }

    fn push(&mut self, line: LogLine) {
        if self.lines.is_empty() {
            self.begun = Instant::now();
        }
        self.bytes += size(&line);
        self.lines.push_back(line);
        while self.bytes > WAITING {
            let Some(oldest) = self.lines.pop_front() else { return };
            self.bytes -= size(&oldest);
            self.dropped += 1;
        }
    }

    /// When the next batch is sent, if nothing else happens before.
    fn due(&self, has_credit: bool) -> Instant {
        let now = Instant::now();
        if self.lines.is_empty() {
            return now + NEW_TASKS;
        }
        if !has_credit {
            // Credit comes unheard: looked for again in a moment.
            return now + MOMENT;
        }
        let whole = if self.bytes >= BATCH { now } else { self.begun + MOMENT };
        let wait = (self.bytes.min(BATCH) as f64 - self.allowed(now)) / RATE;
        whole.max(now + Duration::from_secs_f64(wait.max(0.0)))
    }

    fn allowed(&self, now: Instant) -> f64 {
        (self.allowance + (now - self.counted).as_secs_f64() * RATE).min(RATE)
    }

    /// Sends a batch, in the order of its lines' times.
    async fn send(&mut self, outlet: &Outlet) -> Result<(), End> {
        if self.lines.is_empty() || !outlet.has_credit() {
            return Ok(());
        }
        let (mut lines, mut bytes) = (Vec::new(), 0);
        while let Some(line) = self.lines.pop_front() {
            bytes += size(&line);
            lines.push(line);
            if bytes >= BATCH {
                break;
            }
        }
        let now = Instant::now();
        self.allowance = self.allowed(now) - bytes as f64;
        (self.counted, self.begun) = (now, now);
        self.bytes -= bytes;
        lines.sort_by_key(|line| line.at);
        let dropped = std::mem::take(&mut self.dropped);
        Ok(outlet.send(LogEvent::Lines { lines, dropped }).await?)
    }
}
