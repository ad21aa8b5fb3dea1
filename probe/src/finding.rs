//! What a probe can find, as one line and one exit code.

use core::fmt;
use core::net::SocketAddr;

use rustix::io::Errno;

/// The exit codes, which are all that Docker acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Exit {
    /// The app answered as it should.
    Healthy = 0,
    /// It did not.
    Unhealthy = 1,
    /// The command line was not understood: the platform's fault, not the app's.
    Usage = 2,
}

/// Where in the exchange something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The TCP handshake.
    Connecting,
    /// Writing the request.
    Sending,
    /// Waiting for the first line of the answer.
    Reading,
}

/// The outcome of a check.
#[derive(Debug, PartialEq, Eq)]
pub enum Finding {
    /// The port accepted a connection.
    Connected(SocketAddr),
    /// The app answered HTTP with this status.
    Status(u16),
    /// The port did not accept a connection.
    NotConnected(SocketAddr, Errno),
    /// The connection broke.
    Broken(Step, Errno),
    /// The app closed the connection without an answer.
    Closed,
    /// What came back is not HTTP; the beginning of it.
    NotHttp(Excerpt),
    /// The time was up.
    TimedOut(Step, u32),
    /// The probe itself could not work (no descriptors left, a system call forbidden).
    Impossible(Errno),
}

impl Finding {
    /// The exit code that goes with it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Connected(_) | Self::Status(200..=399) => Exit::Healthy,
            _ => Exit::Unhealthy,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected(address) => write!(f, "connect {address}: ok"),
            Self::Status(status) => write!(f, "http {status}"),
            Self::NotConnected(address, errno) => write!(f, "connect {address}: {}", Cause(*errno)),
            Self::Broken(step, errno) => write!(f, "broken while {step}: {}", Cause(*errno)),
            Self::Closed => f.write_str("closed before the status line"),
            Self::NotHttp(excerpt) => write!(f, "not http: {excerpt}"),
            Self::TimedOut(step, ms) => write!(f, "timeout after {ms} ms {step}"),
            Self::Impossible(errno) => write!(f, "probe failed: {}", Cause(*errno)),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting => "connecting",
            Self::Sending => "sending the request",
            Self::Reading => "waiting for the status line",
        })
    }
}

/// The errors a connection over loopback really has, in words; the number for the rest.
struct Cause(Errno);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Errno::CONNREFUSED => f.write_str("refused"),
            Errno::CONNRESET | Errno::PIPE => f.write_str("reset"),
            Errno::NETUNREACH | Errno::HOSTUNREACH | Errno::ADDRNOTAVAIL => {
                f.write_str("unreachable")
            }
            Errno::PERM | Errno::ACCESS => f.write_str("forbidden"),
            other => write!(f, "errno {}", other.raw_os_error()),
        }
    }
}

/// The first bytes of an answer, safe to show in a log.
#[derive(Debug, PartialEq, Eq)]
pub struct Excerpt {
    bytes: [u8; Self::LENGTH],
    length: usize,
}

impl Excerpt {
    const LENGTH: usize = 24;

    /// Keeps the beginning of `answer`.
    pub fn of(answer: &[u8]) -> Self {
        let mut excerpt = Self { bytes: [0; Self::LENGTH], length: answer.len().min(Self::LENGTH) };
        for (place, byte) in excerpt.bytes.iter_mut().zip(answer) {
            *place = *byte;
        }
        excerpt
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for byte in self.bytes.iter().take(self.length) {
            let shown = if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '.' };
            fmt::Write::write_char(f, shown)?;
        }
        f.write_str("\"")
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;
    use std::string::ToString;

    use super::*;

    #[test]
    fn says_each_finding_in_stable_words() {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 8080));
        for (finding, line, exit) in [
            (Finding::Connected(address), "connect 127.0.0.1:8080: ok", Exit::Healthy),
            (Finding::Status(204), "http 204", Exit::Healthy),
            (Finding::Status(399), "http 399", Exit::Healthy),
            (Finding::Status(101), "http 101", Exit::Unhealthy),
            (Finding::Status(500), "http 500", Exit::Unhealthy),
            (
                Finding::NotConnected(address, Errno::CONNREFUSED),
                "connect 127.0.0.1:8080: refused",
                Exit::Unhealthy,
            ),
            (
                Finding::NotConnected(address, Errno::NOBUFS),
                "connect 127.0.0.1:8080: errno 105",
                Exit::Unhealthy,
            ),
            (
                Finding::Broken(Step::Reading, Errno::CONNRESET),
                "broken while waiting for the status line: reset",
                Exit::Unhealthy,
            ),
            (Finding::Closed, "closed before the status line", Exit::Unhealthy),
            (
                Finding::NotHttp(Excerpt::of(b"\x15\x03\x01 no")),
                "not http: \"... no\"",
                Exit::Unhealthy,
            ),
            (
                Finding::TimedOut(Step::Connecting, 1500),
                "timeout after 1500 ms connecting",
                Exit::Unhealthy,
            ),
            (Finding::Impossible(Errno::MFILE), "probe failed: errno 24", Exit::Unhealthy),
        ] {
            assert_eq!(finding.to_string(), line);
            assert_eq!(finding.exit(), exit, "{line}");
        }
    }
}
