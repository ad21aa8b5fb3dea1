//! One HTTP request, read up to the status of its answer.

use core::fmt::{self, Write};

use crate::connection::Connection;
use crate::finding::{Excerpt, Finding};
use crate::status::{self, Progress};

/// Holds the longest path and host that a check may have, and the rest of the request.
const REQUEST_CAPACITY: usize = 2560;

/// Holds a status line, and the whole head of an interim answer (1xx), which may come before it.
const ANSWER_CAPACITY: usize = 4096;

/// Sends `GET path` and returns the status of the answer.
pub(crate) fn ask(connection: &Connection, path: &str, host: Option<&str>) -> Result<u16, Finding> {
    let mut request = Request { bytes: [0; REQUEST_CAPACITY], length: 0 };
    // Cannot overflow: `Check::parse` bounds path and host.
    let _ = request.compose(path, host, connection.address().port());
    connection.send(request.bytes.get(..request.length).unwrap_or_default())?;
    read_status(connection)
}

fn read_status(connection: &Connection) -> Result<u16, Finding> {
    let mut answer = [0; ANSWER_CAPACITY];
    let mut length = 0;
    loop {
        let free = answer.get_mut(length..).unwrap_or_default();
        // Full without a status: an interim head beyond all measure.
        if free.is_empty() {
            return Err(Finding::NotHttp(Excerpt::of(&answer)));
        }
        length += match connection.receive(free)? {
            0 => return Err(Finding::Closed),
            received => received,
        };
        let received = answer.get(..length).unwrap_or_default();
        match status::read(received) {
            Progress::Status(status) => return Ok(status),
            Progress::Incomplete => {}
            Progress::NotHttp => return Err(Finding::NotHttp(Excerpt::of(received))),
        }
    }
}

struct Request {
    bytes: [u8; REQUEST_CAPACITY],
    length: usize,
}

impl Request {
    /// HTTP/1.1, because some proxies answer 426 to 1.0.
    fn compose(&mut self, path: &str, host: Option<&str>, port: u16) -> fmt::Result {
        write!(self, "GET {path} HTTP/1.1\r\nHost: ")?;
        match host {
            Some(host) => self.write_str(host)?,
            None => write!(self, "localhost:{port}")?,
        }
        self.write_str("\r\nUser-Agent: skep-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n")
    }
}

impl Write for Request {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let place = self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;

    use super::*;

    fn composed(path: &str, host: Option<&str>) -> Result<String, fmt::Error> {
        let mut request = Request { bytes: [0; REQUEST_CAPACITY], length: 0 };
        request.compose(path, host, 8080)?;
        Ok(String::from_utf8_lossy(&request.bytes[..request.length]).into_owned())
    }

    #[test]
    fn asks_for_the_path_and_names_the_host() {
        let request = composed("/health", None).expect("fits");
        assert!(
            request.starts_with("GET /health HTTP/1.1\r\nHost: localhost:8080\r\n"),
            "{request}"
        );
        assert!(request.ends_with("\r\nConnection: close\r\n\r\n"), "{request}");
        let request = composed("/", Some("shop.example")).expect("fits");
        assert!(request.contains("\r\nHost: shop.example\r\n"), "{request}");
    }

    #[test]
    fn holds_the_longest_path_and_host_of_a_check() {
        composed(&"p".repeat(2048), Some(&"h".repeat(255))).expect("fits");
    }
}
