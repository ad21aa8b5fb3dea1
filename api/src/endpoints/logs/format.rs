//! The forms of a log: text for people, lines of JSON for programs, server-sent events for browsers.

use std::fmt::Write as _;
use std::io;

use chrono::{DateTime, SecondsFormat, Utc};
use model::log::{LogLine, LogTask};
use poem::http::{HeaderMap, header};
use serde_json::json;

use crate::logs::{Piece, Tail};

/// How a log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// For people.
    Text,
    /// A JSON object a line.
    Lines,
    /// Server-sent events.
    Events,
}

impl Format {
    /// The form that a request asks for; text where it names none.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let accepted =
            headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let accepted: String = accepted.collect::<Vec<_>>().join(",");
        if accepted.contains("text/event-stream") {
            Self::Events
        } else if accepted.contains("application/jsonl") {
            Self::Lines
        } else {
            Self::Text
        }
    }
}

/// Writes a log in a form.
pub(super) struct Writer {
    pub(super) format: Format,
    /// Whether text says when lines were printed.
    pub(super) timestamps: bool,
    /// What the app is called.
    pub(super) slug: String,
}

impl Writer {
    /// The next of a log, and whether there is more; `None`: there is no more. An error cuts the answer off, which tells the client that it is
    /// not whole.
    pub(super) async fn next(&self, tail: &mut Tail) -> Option<(io::Result<String>, bool)> {
        loop {
            let piece = tail.next().await;
            let cursor = tail.cursor().to_string();
            return Some(match (piece, self.format) {
                (None, Format::Events) => (Ok("event: end\ndata: {}\n\n".into()), false),
                (None, Format::Text | Format::Lines) => return None,
                (Some(Piece::Lines(lines, dropped)), _) => {
                    (Ok(self.lines(&lines, dropped, &cursor)), true)
                }
                (Some(Piece::Missing(tasks)), _) => (Ok(self.missing(&tasks)), true),
                // An id without data is no event, and where a browser goes on from.
                (Some(Piece::Beat), Format::Events) => {
                    (Ok(format!("id: {cursor}\n: still here\n\n")), true)
                }
                (Some(Piece::Beat), Format::Lines) => {
                    (Ok(format!("{}\n", json!({ "cursor": cursor }))), true)
                }
                // People are shown what was printed, and nothing else.
                (Some(Piece::Beat), Format::Text) => continue,
                (Some(Piece::Failed(why)), Format::Events) => {
                    (Ok(format!("event: failed\ndata: {}\n\n", json!({ "why": why }))), false)
                }
                (Some(Piece::Failed(why)), Format::Text | Format::Lines) => {
                    (Err(io::Error::other(why)), false)
                }
            });
        }
    }

    fn lines(&self, lines: &[LogLine], dropped: u64, cursor: &str) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        if dropped > 0 {
            let _ = match self.format {
                Format::Text => writeln!(
                    text,
                    "--- {dropped} lines were dropped: they came faster than they were read"
                ),
                Format::Lines => writeln!(text, "{}", json!({ "dropped": dropped })),
                Format::Events => {
                    write!(text, "event: dropped\ndata: {}\n\n", json!({ "lines": dropped }))
                }
            };
        }
        for (number, line) in lines.iter().enumerate() {
            let _ = match self.format {
                Format::Text => self.text(&mut text, line),
                Format::Lines => writeln!(text, "{}", object(line)),
                Format::Events if number + 1 == lines.len() => {
                    write!(text, "id: {cursor}\nevent: line\ndata: {}\n\n", object(line))
                }
                Format::Events => write!(text, "event: line\ndata: {}\n\n", object(line)),
            };
        }
        if self.format == Format::Lines {
            let _ = writeln!(text, "{}", json!({ "cursor": cursor }));
        }
        text
    }

    /// Tasks of which lines are missing here.
    fn missing(&self, tasks: &[LogTask]) -> String {
        let mut text = String::new();
        for LogTask { task, slot } in tasks {
            let object = json!({ "task": task, "slot": slot });
            let _ = match self.format {
                Format::Text => writeln!(
                    text,
                    "--- lines of {}.{slot}.{} are missing here: its node does not answer, or it prints faster than its log is read",
                    self.slug,
                    short(task)
                ),
                Format::Lines => writeln!(text, "{}", json!({ "missing": object })),
                Format::Events => write!(text, "event: missing\ndata: {object}\n\n"),
            };
        }
        text
    }

    fn text(&self, text: &mut String, line: &LogLine) -> std::fmt::Result {
        if self.timestamps {
            write!(text, "{} ", time(line.at))?;
        }
        writeln!(text, "{}.{}.{} | {}", self.slug, line.slot, short(&line.task), line.text)
    }
}

fn short(task: &str) -> &str {
    task.get(..8).unwrap_or(task)
}

fn object(line: &LogLine) -> serde_json::Value {
    json!({ "at": time(line.at), "task": line.task, "slot": line.slot, "output": line.output, "text": line.text })
}

fn time(at: i64) -> String {
    DateTime::<Utc>::from_timestamp_nanos(at).to_rfc3339_opts(SecondsFormat::Nanos, true)
}
