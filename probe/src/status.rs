//! Reads the status out of the first bytes of an HTTP/1 answer.

/// What the bytes so far tell.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The final status of the answer.
    Status(u16),
    /// So far so good.
    Incomplete,
    /// No continuation would make HTTP of it.
    NotHttp,
}

/// A status line up to the byte after the status: `0` stands for any digit, ` ` at the end for a space or a line's end.
const PATTERN: &[u8] = b"HTTP/0.0 000 ";

/// Where in the pattern the status is.
const STATUS: core::ops::Range<usize> = 9..12;

/// Reads the final status. Interim answers (1xx other than 101) are skipped, as RFC 9110 asks of every client.
pub(crate) fn read(mut answer: &[u8]) -> Progress {
    loop {
        let fits =
            answer.iter().zip(PATTERN).enumerate().all(
                |(index, (byte, expected))| match expected {
                    b'0' => byte.is_ascii_digit(),
                    b' ' if index == STATUS.end => matches!(byte, b' ' | b'\r' | b'\n'),
                    _ => byte == expected,
                },
            );
        if !fits {
            return Progress::NotHttp;
        }
        if answer.len() < PATTERN.len() {
            return Progress::Incomplete;
        }
        let status = answer
            .get(STATUS)
            .unwrap_or_default()
            .iter()
            .fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
        match status {
            100 | 102..=199 => match end_of_head(answer) {
                Some(end) => answer = answer.get(end..).unwrap_or_default(),
                None => return Progress::Incomplete,
            },
            101 | 200..=599 => return Progress::Status(status),
            _ => return Progress::NotHttp,
        }
    }
}

fn end_of_head(answer: &[u8]) -> Option<usize> {
    const BLANK_LINE: &[u8] = b"\r\n\r\n";
    let start = answer.windows(BLANK_LINE.len()).position(|window| window == BLANK_LINE)?;
    Some(start + BLANK_LINE.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_status() {
        for (answer, status) in [
            ("HTTP/1.1 200 OK\r\n", 200),
            ("HTTP/1.0 404 Not Found\r\n\r\nbody", 404),
            ("HTTP/1.1 302\r\n", 302),
            ("HTTP/1.1 500 ", 500),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\n", 101),
            ("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n", 200),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 204 No Content\r\n",
                204,
            ),
        ] {
            assert_eq!(read(answer.as_bytes()), Progress::Status(status), "{answer:?}");
        }
    }

    #[test]
    fn waits_for_more() {
        for answer in [
            "",
            "H",
            "HTTP/1.",
            "HTTP/1.1 20",
            "HTTP/1.1 200",
            "HTTP/1.1 100 Continue\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHT",
        ] {
            assert_eq!(read(answer.as_bytes()), Progress::Incomplete, "{answer:?}");
        }
    }

    #[test]
    fn refuses_what_is_not_http() {
        for answer in [
            "SSH-2.0-OpenSSH",
            "\u{15}\u{3}\u{1}",
            "HTTP/x",
            "HTTP/1.1 2x0",
            "HTTP/1.1 2000",
            "HTTP/1.1 099 ",
            "HTTP/1.1 999 ",
            "http/1.1 200 ",
        ] {
            assert_eq!(read(answer.as_bytes()), Progress::NotHttp, "{answer:?}");
        }
    }
}
