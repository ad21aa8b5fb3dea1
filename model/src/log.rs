//! Logs: what the replicas of an app print, as an API asks a worker for it and is answered, over the broker. Nothing of it is kept.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{AppId, DeploymentId};
use crate::text_enum::text_enum;

/// The version of these forms.
pub const LOG_VERSION: u16 = 1;
/// Longest line, in bytes; what is longer is cut.
pub const MAX_LINE: usize = 16 * 1024;
/// Most lines of each replica that are looked back upon.
pub const MAX_TAIL: u32 = 10_000;
/// Most tasks that a cursor tells of: those that printed last.
pub const MAX_CURSOR_TASKS: usize = 256;

text_enum! {
    /// Where a line was printed to.
    pub enum Output {
        /// Standard output.
        Stdout => "stdout",
        /// Standard error.
        Stderr => "stderr",
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRequest {
    /// Of which app.
    pub app: AppId,
    /// Of the tasks of this deployment only.
    pub deployment: Option<DeploymentId>,
    /// Of this task only, by Swarm's id.
    pub task: Option<String>,
    /// Lines of each task that are looked back upon, the last ones; `None`: all.
    pub tail: Option<u32>,
    /// Lines from then on, in nanoseconds since 1970.
    pub since: Option<i64>,
    /// Lines before then, likewise.
    pub until: Option<i64>,
    /// Lines that have this text in them.
    pub contains: Option<String>,
    /// Go on with what comes.
    pub follow: bool,
    /// When this was first asked, in nanoseconds since 1970: of tasks that were made since, every line is new.
    pub begun: Option<i64>,
    /// What was given already.
    pub after: LogCursor,
}

/// A line that a replica printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Swarm's id of its task.
    pub task: String,
    /// The place of the replica.
    pub slot: i64,
    /// Where it was printed to.
    pub output: Output,
    /// When Docker read it, in nanoseconds since 1970.
    pub at: i64,
    /// The line, without its end; bytes that are no UTF-8 are replaced.
    pub text: String,
}

/// What a worker answers with, one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "log", rename_all = "snake_case")]
pub enum LogEvent {
    /// Lines, in the order of their time.
    Lines {
        /// Which.
        lines: Vec<LogLine>,
        /// Lines before them that were too many, and are not given.
        dropped: u64,
    },
    /// The worker is there.
    Beat,
    /// There is no more.
    End,
    /// The worker cannot go on: a sentence.
    Failed {
        /// Why.
        why: String,
    },
}

/// How far each task was given: the time of its last line, and how many lines of that very time were. Text: what a client shows to go
/// on where it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LogCursor(BTreeMap<String, (i64, u32)>);

/// A text is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cursor of an earlier answer")]
pub struct InvalidCursor;

impl LogCursor {
    /// The time of the last line of this task that was given.
    pub fn of(&self, task: &str) -> Option<i64> {
        self.0.get(task).map(|(at, _)| *at)
    }

    /// Takes a line that is about to be given; false: it was already. `passed`: lines of the same time that were found before it since this
    /// was asked.
    pub fn is_new(&self, task: &str, at: i64, passed: u32) -> bool {
        match self.0.get(task) {
            Some((last, count)) => at > *last || (at == *last && passed >= *count),
            None => true,
        }
    }

    /// This line was given.
    pub fn give(&mut self, task: &str, at: i64) {
        match self.0.get_mut(task) {
            Some((last, count)) if at == *last => *count = count.saturating_add(1),
            Some((last, count)) if at > *last => (*last, *count) = (at, 1),
            // An older one than the last: as far as before.
            Some(_) => {}
            None => {
                self.0.insert(task.to_owned(), (at, 1));
                if self.0.len() > MAX_CURSOR_TASKS {
                    let oldest = self.0.iter().min_by_key(|(_, (at, _))| *at);
                    if let Some(oldest) = oldest.map(|(task, _)| task.clone()) {
                        self.0.remove(&oldest);
                    }
                }
            }
        }
    }
}

impl fmt::Display for LogCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (task, (at, count))) in self.0.iter().enumerate() {
            let separator = if number == 0 { "" } else { "." };
            write!(f, "{separator}{task}-{at:x}-{count:x}")?;
        }
        Ok(())
    }
}

impl FromStr for LogCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let mut cursor = Self::default();
        for part in text.split('.').filter(|part| !part.is_empty()) {
            let mut fields = part.split('-');
            let (Some(task), Some(at), Some(count), None) =
                (fields.next(), fields.next(), fields.next(), fields.next())
            else {
                return Err(InvalidCursor);
            };
            let is_task = (1..=64).contains(&task.len())
                && task.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
            let at = i64::from_str_radix(at, 16).ok().filter(|at| *at >= 0);
            let count = u32::from_str_radix(count, 16).ok();
            match (is_task, at, count) {
                (true, Some(at), Some(count)) if cursor.0.len() < MAX_CURSOR_TASKS => {
                    cursor.0.insert(task.to_owned(), (at, count));
                }
                _ => return Err(InvalidCursor),
            }
        }
        Ok(cursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_printed() {
        let mut cursor = LogCursor::default();
        assert_eq!(cursor.to_string().parse(), Ok(cursor.clone()));
        for (task, at) in [("a1", 5), ("b2", 7), ("a1", 5), ("a1", 4)] {
            cursor.give(task, at);
        }
        assert_eq!(cursor.to_string(), "a1-5-2.b2-7-1");
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for bad in ["a1", "a1-5", "a1-5-1-1", "A1-5-1", "a1--5-1", "a1-x-1", "a1-5-1x"] {
            assert_eq!(bad.parse::<LogCursor>(), Err(InvalidCursor), "{bad}");
        }
    }

    #[test]
    fn lines_of_the_same_time_are_each_given_once() {
        let mut cursor = LogCursor::default();
        cursor.give("a", 5);
        cursor.give("a", 5);
        assert!(!cursor.is_new("a", 4, 0));
        assert!(!cursor.is_new("a", 5, 0) && !cursor.is_new("a", 5, 1));
        assert!(cursor.is_new("a", 5, 2) && cursor.is_new("a", 6, 0) && cursor.is_new("b", 1, 0));
    }

    #[test]
    fn a_cursor_forgets_who_printed_longest_ago() {
        let mut cursor = LogCursor::default();
        for number in 0..=MAX_CURSOR_TASKS {
            cursor.give(&format!("t{number}"), number as i64 + 1);
        }
        assert_eq!((cursor.of("t0"), cursor.of("t1")), (None, Some(2)));
    }
}
