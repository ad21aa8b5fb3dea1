//! How far a log was given: what a client shows to go on where it was. Of each task, and of each of its two outputs, the time of the last
//! line and how many lines of that very time were given. Docker puts the times of each output in order, and those of the two nearly so.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::log::Output;

/// Most tasks that a cursor tells of: those that printed last.
pub const MAX_CURSOR_TASKS: usize = 256;
/// By how much two outputs of a task may be out of order, in nanoseconds: far more than they are, as Docker stamps a line right before it
/// writes it down.
const DISORDER: i64 = 1_000_000_000;
/// Longest id of a task, in characters.
const LONGEST_ID: usize = 64;

/// How far a log was given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct LogCursor {
    /// When the newest of the tasks was made of which all was given that they had printed when the log was asked for, in nanoseconds since
    /// 1970. `None`: that was not all given yet.
    caught_up: Option<i64>,
    marks: BTreeMap<String, [Mark; 2]>,
}

/// The last lines of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    /// Their time, in nanoseconds since 1970.
    at: i64,
    /// How many of that time.
    count: u32,
}

/// A text is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cursor of an earlier answer")]
pub struct InvalidCursor;

impl LogCursor {
    /// Whether anything is known of this task.
    pub fn knows(&self, task: &str) -> bool {
        self.marks.contains_key(task)
    }

    /// From when on there may be lines of this task that were not given.
    pub fn since(&self, task: &str) -> Option<i64> {
        self.marks.get(task)?.iter().map(|mark| mark.at).min()
    }

    /// Whether a line was not given yet. `passed`: lines of the same output and time that were found before it.
    pub fn is_new(&self, task: &str, output: Output, at: i64, passed: u32) -> bool {
        self.marks.get(task).is_none_or(|marks| {
            let mark = marks[place(output)];
            at > mark.at || (at == mark.at && passed >= mark.count)
        })
    }

    /// The newest time of this task's lines that were given.
    pub fn newest(&self, task: &str) -> Option<i64> {
        self.marks.get(task)?.iter().map(|mark| mark.at).max()
    }

    /// This line was given.
    pub fn give(&mut self, task: &str, output: Output, at: i64) {
        let mark = self.marks.get(task).map(|marks| marks[place(output)]);
        let before = mark.filter(|mark| mark.at == at).map_or(0, |mark| mark.count);
        self.reach(task, output, at, before.saturating_add(1));
    }

    /// So many lines of this output and time were given, and all that came before them.
    pub fn reach(&mut self, task: &str, output: Output, at: i64, count: u32) {
        if !self.marks.contains_key(task) {
            self.make_room();
            let first = Mark { at, count: 0 };
            self.marks.insert(task.to_owned(), [first, first]);
        }
        let Some(marks) = self.marks.get_mut(task) else { return };
        for (number, mark) in marks.iter_mut().enumerate() {
            if number == place(output) {
                *mark = Mark { at, count }.max(*mark);
            } else if mark.at < at.saturating_sub(DISORDER) {
                // Of the other one, too, nothing can come that is much older.
                *mark = Mark { at: at - DISORDER, count: 0 };
            }
        }
    }

    /// Of this task, unless more is known, everything was given that it printed before then.
    pub fn know(&mut self, task: &str, at: i64) {
        if !self.knows(task) {
            self.make_room();
            let mark = Mark { at, count: 0 };
            self.marks.insert(task.to_owned(), [mark, mark]);
        }
    }

    /// This task is gone: nothing more is given of it.
    pub fn forget(&mut self, task: &str) {
        self.marks.remove(task);
    }

    /// When the newest task was made of those that were there when everything had been given that was printed before the log was asked for.
    pub const fn caught_up(&self) -> Option<i64> {
        self.caught_up
    }

    /// The newest task that was there was made then.
    pub fn catch_up(&mut self, newest: i64) {
        self.caught_up = self.caught_up.max(Some(newest));
    }

    /// The tasks that are known.
    pub fn tasks(&self) -> impl Iterator<Item = &str> {
        self.marks.keys().map(String::as_str)
    }

    fn make_room(&mut self) {
        if self.marks.len() >= MAX_CURSOR_TASKS {
            let oldest = self.marks.iter().min_by_key(|(_, marks)| marks[0].at.max(marks[1].at));
            if let Some(oldest) = oldest.map(|(task, _)| task.clone()) {
                self.marks.remove(&oldest);
            }
        }
    }
}

const fn place(output: Output) -> usize {
    match output {
        Output::Stdout => 0,
        Output::Stderr => 1,
    }
}

impl fmt::Display for LogCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        if let Some(newest) = self.caught_up {
            write!(f, "{newest:x}")?;
            separator = ".";
        }
        for (task, [stdout, stderr]) in &self.marks {
            write!(f, "{separator}{task}-{stdout}-{stderr}")?;
            separator = ".";
        }
        Ok(())
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.at, self.count)
    }
}

impl From<LogCursor> for String {
    fn from(cursor: LogCursor) -> Self {
        cursor.to_string()
    }
}

impl TryFrom<String> for LogCursor {
    type Error = InvalidCursor;

    fn try_from(text: String) -> Result<Self, InvalidCursor> {
        text.parse()
    }
}

impl FromStr for LogCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let mut cursor = Self::default();
        for (number, part) in text.split('.').filter(|part| !part.is_empty()).enumerate() {
            let fields: Vec<&str> = part.split('-').collect();
            match fields[..] {
                [newest] if number == 0 => cursor.caught_up = Some(time(newest)?),
                [task, at, count, other_at, other_count]
                    if is_task_id(task) && cursor.marks.len() < MAX_CURSOR_TASKS =>
                {
                    let marks = [mark(at, count)?, mark(other_at, other_count)?];
                    cursor.marks.insert(task.to_owned(), marks);
                }
                _ => return Err(InvalidCursor),
            }
        }
        Ok(cursor)
    }
}

/// Whether a text may be Swarm's id of a task: 1 to 64 of a-z and 0-9.
pub fn is_task_id(text: &str) -> bool {
    (1..=LONGEST_ID).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn mark(at: &str, count: &str) -> Result<Mark, InvalidCursor> {
    let count = u32::from_str_radix(count, 16).map_err(|_| InvalidCursor)?;
    Ok(Mark { at: time(at)?, count })
}

fn time(text: &str) -> Result<i64, InvalidCursor> {
    i64::from_str_radix(text, 16).ok().filter(|at| *at >= 0).ok_or(InvalidCursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn a_cursor_is_read_as_it_was_printed() {
        let mut cursor = LogCursor::default();
        assert_eq!(cursor.to_string().parse(), Ok(cursor.clone()));
        for (task, at) in [("a1", 5), ("b2", 7), ("a1", 5), ("a1", 4)] {
            cursor.give(task, Output::Stdout, at);
        }
        assert_eq!(cursor.to_string(), "a1-5-2-5-0.b2-7-1-7-0");
        assert_eq!(cursor.to_string().parse(), Ok(cursor.clone()));
        cursor.catch_up(255);
        cursor.forget("a1");
        assert_eq!(cursor.to_string(), "ff.b2-7-1-7-0");
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for bad in
            ["x1", "a1-5", "a1-5-1-1", "A1-5-1-1-1", "a1--5-1-1-1", "a1-x-1-1-1", "b2-7-1-7-0.ff"]
        {
            assert_eq!(bad.parse::<LogCursor>(), Err(InvalidCursor), "{bad}");
        }
    }

    #[test]
    fn lines_of_the_same_time_are_each_given_once() {
        let mut cursor = LogCursor::default();
        cursor.give("a", Output::Stdout, 5);
        cursor.give("a", Output::Stdout, 5);
        let is_new = |task, at, passed| cursor.is_new(task, Output::Stdout, at, passed);
        assert!(!is_new("a", 4, 0) && !is_new("a", 5, 0) && !is_new("a", 5, 1));
        assert!(is_new("a", 5, 2) && is_new("a", 6, 0) && is_new("b", 1, 0));
    }

    #[test]
    fn what_was_reached_is_not_reached_less() {
        let mut cursor = LogCursor::default();
        cursor.reach("a", Output::Stdout, 5, 3);
        cursor.reach("a", Output::Stdout, 5, 2);
        cursor.reach("a", Output::Stdout, 4, 9);
        cursor.give("a", Output::Stdout, 5);
        assert_eq!((cursor.to_string().as_str(), cursor.newest("a")), ("a-5-4-5-0", Some(5)));
    }

    #[test]
    fn one_output_does_not_hide_what_the_other_printed_at_about_the_same_time() {
        let mut cursor = LogCursor::default();
        cursor.give("a", Output::Stderr, 10 * SECOND);
        cursor.give("a", Output::Stdout, 20 * SECOND);
        assert_eq!(cursor.since("a"), Some(19 * SECOND));
        assert!(cursor.is_new("a", Output::Stderr, 20 * SECOND - 1, 0));
        assert!(!cursor.is_new("a", Output::Stdout, 20 * SECOND - 1, 0));
        assert!(!cursor.is_new("a", Output::Stderr, 10 * SECOND, 0));
    }

    #[test]
    fn what_is_known_is_not_known_less() {
        let mut cursor = LogCursor::default();
        cursor.know("a", 0);
        assert!(cursor.knows("a") && cursor.is_new("a", Output::Stdout, 0, 0));
        cursor.give("a", Output::Stdout, 5);
        cursor.know("a", 9);
        assert!(cursor.is_new("a", Output::Stdout, 6, 0));
    }

    #[test]
    fn a_cursor_forgets_who_printed_longest_ago() {
        let mut cursor = LogCursor::default();
        for number in 0..=MAX_CURSOR_TASKS {
            cursor.give(&format!("t{number}"), Output::Stdout, number as i64 + 1);
        }
        assert_eq!((cursor.knows("t0"), cursor.since("t1")), (false, Some(2)));
    }
}
