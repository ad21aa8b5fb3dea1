//! What a task prints, as the swarm's managers bring it from its node.

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use chrono::DateTime;
use futures::{Stream, StreamExt as _};
use model::log::{MAX_LINE, Output};

use super::{DockerSwarm, incoming};
use crate::swarm::{SwarmError, SwarmResult};

/// What is read of a task.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lines {
    /// From this second on (since 1970).
    pub(crate) since: i64,
    /// The last so many; `None`: all.
    pub(crate) tail: Option<u32>,
    /// Go on with what comes: for ever, also when its container has ended.
    pub(crate) follow: bool,
}

/// A line as Docker has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawLine {
    pub(crate) output: Output,
    /// When Docker read it, in nanoseconds since 1970.
    pub(crate) at: i64,
    pub(crate) text: String,
    /// Whether it ends here: Docker cuts long ones into pieces of 16 KiB, of one time.
    pub(crate) is_ended: bool,
}

impl DockerSwarm {
    /// The lines of a task, in the order in which it printed them.
    pub(crate) fn lines(
        &self,
        task: &str,
        wanted: Lines,
    ) -> impl Stream<Item = SwarmResult<RawLine>> + Send + use<> {
        let tail = wanted.tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
        let options = LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .follow(wanted.follow)
            .since(i32::try_from(wanted.since).unwrap_or(i32::MAX))
            .tail(&tail)
            .build();
        let lines = self.docker.task_logs(task, Some(options));
        lines.filter_map(async |line| match line {
            Ok(line) => read(line),
            Err(error) => Some(Err(incoming::error(error))),
        })
    }
}

/// A line, behind the time that Docker writes before it. What has none is no line of a task's.
fn read(line: LogOutput) -> Option<SwarmResult<RawLine>> {
    match line {
        LogOutput::StdErr { message } => line_of(Output::Stderr, &message).map(Ok),
        LogOutput::StdOut { message } => line_of(Output::Stdout, &message).map(Ok),
        LogOutput::StdIn { .. } => None,
        // What is of neither output is Docker's own word, of a node that does not answer for one (moby, `stdcopy.Systemerr`, whose frame
        // bollard leaves around it).
        LogOutput::Console { message } => {
            let word = String::from_utf8_lossy(&message);
            let word = word.find("Error").map_or(&*word, |start| &word[start..]).trim_end();
            Some(Err(SwarmError::Unavailable(word.to_owned())))
        }
    }
}

fn line_of(output: Output, bytes: &[u8]) -> Option<RawLine> {
    let end = bytes.iter().position(|byte| *byte == b' ')?;
    let time = std::str::from_utf8(&bytes[..end]).ok()?;
    let at = DateTime::parse_from_rfc3339(time).ok()?.timestamp_nanos_opt()?;
    let mut line = &bytes[end + 1..];
    let is_ended = line.ends_with(b"\n");
    while let [start @ .., b'\n' | b'\r'] = line {
        line = start;
    }
    let text = String::from_utf8_lossy(&line[..line.len().min(MAX_LINE)]);
    // NUL is nowhere in what the API answers.
    Some(RawLine { output, at, text: text.replace('\0', "\u{fffd}"), is_ended })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Option<RawLine> {
        read(LogOutput::StdErr { message: text.as_bytes().to_vec().into() })?.ok()
    }

    #[test]
    fn what_docker_says_of_itself_is_an_error() {
        let frame = b"\x03\0\0\0\0\0\0\x29Error grabbing logs: node a is not available\n";
        let word = read(LogOutput::Console { message: frame.to_vec().into() });
        let error = word.unwrap().unwrap_err().to_string();
        assert_eq!(error, "the Docker daemon failed: Error grabbing logs: node a is not available");
    }

    #[test]
    fn a_line_is_read_behind_its_time() {
        let found = line("2026-11-23T08:00:00.000000007Z GET / 200\n").unwrap();
        assert_eq!(found.text, "GET / 200");
        assert_eq!((found.output, found.at % 1_000_000_000), (Output::Stderr, 7));
        assert!(found.is_ended && !line("2026-11-23T08:00:00Z a piece").unwrap().is_ended);
        assert_eq!(line("2026-11-23T08:00:00Z \r\n").unwrap().text, "");
        assert_eq!(line("2026-11-23T08:00:00Z a\0b").unwrap().text, "a\u{fffd}b");
        assert_eq!(line("error from daemon in stream"), None);
        let long = format!("2026-11-23T08:00:00Z {}", "x".repeat(2 * MAX_LINE));
        assert_eq!(line(&long).unwrap().text.len(), MAX_LINE);
    }
}
