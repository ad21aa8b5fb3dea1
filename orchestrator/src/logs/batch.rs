//! Lines that are sent together: of what was printed already one batch after the other, as there is credit; of what is followed the newest,
//! as fast as one stream may be.

use std::collections::VecDeque;
use std::time::Duration;

use model::log::{LogCursor, LogEvent, LogLine};
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

/// Lines that are followed, on their way out.
pub(super) struct Waiting {
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
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let lines = VecDeque::new();
        Self { lines, bytes: 0, dropped: 0, begun: now, allowance: RATE, counted: now }
    }

    pub(super) fn push(&mut self, line: LogLine) {
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

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
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

    /// Sends a batch, in the order of its lines' times, and writes down in `given` what was in it.
    pub(super) async fn send(
        &mut self,
        given: &mut LogCursor,
        outlet: &Outlet,
    ) -> Result<(), Gone> {
        let (mut lines, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH
            && let Some(line) = self.lines.pop_front()
        {
            bytes += size(&line);
            given.give(&line.task, line.output, line.at);
            lines.push(line);
        }
        let now = Instant::now();
        self.allowance = self.allowed(now) - bytes as f64;
        (self.counted, self.begun) = (now, now);
        self.bytes -= bytes;
        lines.sort_by_key(|line| line.at);
        let dropped = std::mem::take(&mut self.dropped);
        outlet.send(LogEvent::Lines { lines, dropped }).await
    }
}
