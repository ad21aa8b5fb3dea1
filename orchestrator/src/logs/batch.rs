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
    /// Whether how far was read is to be told before them, and whether somewhere among them.
    is_read: bool,
    is_told: bool,
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
    /// How far was read is to be told here.
    Read,
}

impl Waiting {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let (pieces, missing) = (VecDeque::new(), Vec::new());
        let (allowance, counted) = (RATE, now);
        Self {
            pieces,
            bytes: 0,
            dropped: 0,
            missing,
            is_read: false,
            is_told: false,
            begun: now,
            allowance,
            counted,
        }
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
                Piece::Read => self.read(),
            }
        }
    }

    fn read(&mut self) {
        (self.is_read, self.is_told) = (true, false);
    }

    /// Of this task lines are missing here.
    pub(super) fn miss(&mut self, task: LogTask) {
        self.push_back(Piece::Missing(task));
    }

    /// How far was read is to be told, lines or not.
    pub(super) fn tell(&mut self) {
        if !std::mem::replace(&mut self.is_told, true) {
            self.push_back(Piece::Read);
        }
    }

    fn push_back(&mut self, piece: Piece) {
        if self.is_empty() {
            self.begun = Instant::now();
        }
        self.pieces.push_back(piece);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.missing.is_empty() && !self.is_read
    }

    /// Whether there is a batch, so that more may wait elsewhere.
    pub(super) const fn is_whole(&self) -> bool {
        self.bytes >= BATCH
    }

    /// Whether a batch may be sent at once.
    pub(super) fn is_due_now(&self, outlet: &Outlet) -> bool {
        self.is_whole() && self.allowed(Instant::now()) >= BATCH as f64 && outlet.has_credit()
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

    /// Sends the next: lines up to a gap, in the order of their times and no more than a batch of them, or the gap, or how far was read. Writes
    /// down in `given` which lines were sent; those that were dropped before them are passed over with that.
    pub(super) async fn send(
        &mut self,
        given: &mut LogCursor,
        outlet: &Outlet,
    ) -> Result<(), Gone> {
        let (mut lines, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH
            && self.missing.is_empty()
            && !self.is_read
            && let Some(piece) = self.pieces.pop_front()
        {
            match piece {
                Piece::Line(line) => {
                    bytes += size(&line);
                    given.give(&line.task, line.output, line.at);
                    lines.push(line);
                }
                Piece::Missing(task) => self.missing.push(task),
                Piece::Read => self.read(),
            }
        }
        let now = Instant::now();
        self.allowance = self.allowed(now) - bytes as f64;
        self.counted = now;
        if self.missing.is_empty() && !self.is_read {
            // What comes next waits for its own moment; what is to be told behind these lines does not.
            self.begun = now;
        }
        self.bytes -= bytes;
        lines.sort_by_key(|line| line.at);
        let dropped = std::mem::take(&mut self.dropped);
        outlet
            .send(if dropped > 0 || !lines.is_empty() {
                LogEvent::Lines { lines, dropped }
            } else if self.missing.is_empty() {
                self.is_read = false;
                LogEvent::Read { cursor: given.clone() }
            } else {
                LogEvent::Missing { tasks: std::mem::take(&mut self.missing) }
            })
            .await
    }
}
