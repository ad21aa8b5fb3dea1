//! How far a reading is behind what is printed. Docker's own reader passes over a whole file, and says nothing, where a container's log is
//! rotated faster than it is read (moby, `daemon/logger/loggerutils/follow.go`): who falls behind by much less than a file stops, says so,
//! and goes on with what is newest.

/// Bytes behind from which on lines may be passed over: less than half of a file (`LOG_OPTIONS` in `swarm/docker/outgoing.rs`).
const TOO_FAR: f64 = 4_000_000.0;
/// Bytes that Docker writes beside a line: its time, its output, and their names.
const BESIDE: usize = 80;
/// Over which time of the lines their rate is taken, in nanoseconds.
const SPAN: i64 = 1_000_000_000;

/// How far behind.
#[derive(Debug, Clone)]
pub(super) struct Behind {
    /// The clock of the task's node is behind this one by so much at most, in nanoseconds: the soonest that a line was read after its time.
    skew: Option<i64>,
    /// Since when bytes are counted, by the lines' own time.
    since: i64,
    bytes: usize,
    /// Those of the time before that, and how long it was.
    before: (usize, i64),
}

impl Behind {
    /// Of a reading that begins at the end of what was printed.
    pub(super) const fn at_the_end() -> Self {
        Self { skew: None, since: i64::MIN, bytes: 0, before: (0, 0) }
    }

    /// Of one that begins before that: its first lines are old, and say nothing of the clocks.
    pub(super) const fn before_the_end() -> Self {
        Self { skew: Some(0), ..Self::at_the_end() }
    }

    /// Of one of the same task that begins before that.
    pub(super) fn again(&self) -> Self {
        Self { skew: self.skew.or(Some(0)), ..Self::at_the_end() }
    }

    /// A line of so many bytes, printed `at`, is read `now` (in nanoseconds since 1970): whether that is too far behind.
    pub(super) fn read(&mut self, at: i64, bytes: usize, now: i64) -> bool {
        let counted = at.saturating_sub(self.since);
        if counted >= SPAN {
            // After a silence, what was before it says nothing of what is printed now.
            self.before = if counted < 2 * SPAN { (self.bytes, counted) } else { (0, 0) };
            (self.since, self.bytes) = (at, 0);
        }
        self.bytes += bytes + BESIDE;
        let late = now - at;
        let skew = self.skew.map_or(late, |skew| skew.min(late));
        self.skew = Some(skew);
        let (before, long) = self.before;
        let time = long.saturating_add(at.saturating_sub(self.since)).max(SPAN);
        (self.bytes + before) as f64 * ((late - skew) as f64 / time as f64) > TOO_FAR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: i64 = 1_000_000;

    /// Reads lines of 920 bytes, so many a second, each `late` milliseconds after it was printed; after how many seconds it is too far behind.
    fn too_far(behind: &mut Behind, rate: i64, late: impl Fn(i64) -> i64) -> Option<i64> {
        (0..20 * rate)
            .map(|line| line * 1000 / rate)
            .find(|at| behind.read(at * MILLISECOND, 920, (at + late(*at)) * MILLISECOND))
            .map(|at| at / 1000)
    }

    #[test]
    fn who_keeps_up_is_never_too_far_behind() {
        assert_eq!(too_far(&mut Behind::at_the_end(), 50_000, |_| 30), None);
        // The node's clock is an hour behind, or ahead.
        assert_eq!(too_far(&mut Behind::at_the_end(), 5_000, |_| 3_600_000), None);
        assert_eq!(too_far(&mut Behind::at_the_end(), 5_000, |_| -3_600_000), None);
        assert_eq!(too_far(&mut Behind::before_the_end(), 5_000, |_| -3_600_000), None);
    }

    #[test]
    fn who_falls_behind_by_less_than_half_a_file_is() {
        // A second late for each that was printed, at 1.5 MB a second.
        let late = |at| at;
        assert_eq!(too_far(&mut Behind::at_the_end(), 1_500, late), Some(2));
        // Faster: a file is full in a tenth of a second.
        assert_eq!(too_far(&mut Behind::at_the_end(), 100_000, late), Some(0));
    }

    #[test]
    fn few_lines_may_be_read_late() {
        assert_eq!(too_far(&mut Behind::before_the_end(), 100, |_| 12_000), None);
        assert_eq!(too_far(&mut Behind::before_the_end(), 1_500, |_| 12_000), Some(0));
    }
}
