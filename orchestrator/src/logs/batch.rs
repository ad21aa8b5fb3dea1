//! Lines that are sent together: of what was printed already one batch after the other, as there is credit; of what is followed the newest,
//! as fast as one stream may be.

use std::collections::VecDeque;
use std::time::Duration;

use model::log::{LogCursor, LogEvent, LogLine, LogTask};
use queue::streams::{Gone, Outlet};
use tokio::time::{Instant, sleep_until};

/// Of lines in a batch, in bytes.
const BATCH: usize = 64 * 1024;
/// How long a batch waits for more lines.
const MOMENT: Duration = Duration::from_millis(50);
/// Of lines that wait for credit, in bytes; the oldest are dropped beyond.
const WAITING: usize = 256 * 1024;
/// Bytes a second that one stream is given at most, and at once.
const RATE: f64 = 1_048_576.0;

/// Bytes that a line takes on the broker, about.
fn size(line: &LogLine) -> usize {
    line.text.len() + 96
}

/// Lines of what was printed already.
#[derive(Default)]
pub(super) struct Batch {
    lines: Vec<LogLine>,
    bytes: usize,
    begun: Option<Instant>,
}

impl Batch {
    pub(super) fn push(&mut self, line: LogLine) {
        self.bytes += size(&line);
        self.lines.push(line);
        self.begun.get_or_insert_with(Instant::now);
    }

    /// When it is sent at the latest.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.begun.map(|begun| begun + MOMENT)
    }

    pub(super) fn is_due(&self) -> bool {
        self.bytes >= BATCH || self.deadline().is_some_and(|deadline| deadline <= Instant::now())
    }

    pub(super) async fn send(&mut self, outlet: &Outlet) -> Result<(), Gone> {
        let Self { lines, .. } = std::mem::take(self);
        if lines.is_empty() {
            return Ok(());
        }
        outlet.send(LogEvent::Lines { lines, dropped: 0 }).await
    }
}

/// Lines that are followed, and gaps between them, on their way out.
pub(super) struct Waiting {
    pieces: VecDeque<Piece>,
    bytes: usize,
    /// What was dropped before them.
    dropped: u64,
    missing: Vec<LogTask>,
    /// When the first of them came.
    begun: Instant,
    /// Bytes that may be sent at `counted`.
    allowance: f64,
    counted: Instant,
}

enum Piece {
    Line(LogLine),
    /// Of this task lines are missing here.
    Missing(LogTask),
}

impl Waiting {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let (pieces, missing) = (VecDeque::new(), Vec::new());
        Self { pieces, bytes: 0, dropped: 0, missing, begun: now, allowance: RATE, counted: now }
    }

    pub(super) fn push(&mut self, line: LogLine) {
        self.bytes += size(&line);
        self.push_back(Piece::Line(line));
        while self.bytes > WAITING
            && let Some(oldest) = self.pieces.pop_front()
        {
            match oldest {
                Piece::Line(line) => {
                    self.bytes -= size(&line);
                    self.dropped += 1;
                }
                Piece::Missing(task) => self.missing.push(task),
            }
        }
    }

    /// Of this task lines are missing here.
    pub(super) fn miss(&mut self, task: LogTask) {
        self.push_back(Piece::Missing(task));
    }

    fn push_back(&mut self, piece: Piece) {
        if self.pieces.is_empty() {
            self.begun = Instant::now();
        }
        self.pieces.push_back(piece);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.missing.is_empty()
    }

    /// Until a batch is due, and there is credit for it.
    pub(super) async fn is_due(&self, outlet: &Outlet) {
        let now = Instant::now();
        let whole = if self.bytes >= BATCH { now } else { self.begun + MOMENT };
        let wait = (self.bytes.min(BATCH) as f64 - self.allowed(now)) / RATE;
        sleep_until(whole.max(now + Duration::from_secs_f64(wait.max(0.0)))).await;
        outlet.credited().await;
    }

    fn allowed(&self, now: Instant) -> f64 {
        (self.allowance + (now - self.counted).as_secs_f64() * RATE).min(RATE)
    }

    /// Sends the lines up to the next gap, in the order of their times and no more than a batch of them, and writes down in `given` what was
    /// in it.
    pub(super) async fn send(
        &mut self,
        given: &mut LogCursor,
        outlet: &Outlet,
    ) -> Result<(), Gone> {
        let (mut lines, mut bytes) = (Vec::new(), 0);
        let dropped = std::mem::take(&mut self.dropped);
        let mut missing = std::mem::take(&mut self.missing);
        while bytes < BATCH
            && missing.is_empty()
            && let Some(piece) = self.pieces.pop_front()
        {
            match piece {
                Piece::Line(line) => {
                    bytes += size(&line);
                    given.give(&line.task, line.output, line.at);
                    lines.push(line);
                }
                Piece::Missing(task) => missing.push(task),
            }
        }
        let now = Instant::now();
        self.allowance = self.allowed(now) - bytes as f64;
        (self.counted, self.begun) = (now, now);
        self.bytes -= bytes;
        lines.sort_by_key(|line| line.at);
        if dropped > 0 || !lines.is_empty() {
            outlet.send(LogEvent::Lines { lines, dropped }).await?;
        }
        if !missing.is_empty() {
            outlet.send(LogEvent::Missing { tasks: missing }).await?;
        }
        Ok(())
    }
}
