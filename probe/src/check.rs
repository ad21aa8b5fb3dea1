//! What the command line asks for.

use core::str;

/// The line for a command line that is not understood.
pub const USAGE: &str =
    "usage: skep-probe tcp PORT TIMEOUT_MS | skep-probe http PORT TIMEOUT_MS PATH [HOST]";

/// The longest path and the longest host that fit into the request's buffer together with the rest of it.
const LONGEST_PATH: usize = 2048;
const LONGEST_HOST: usize = 255;

/// An hour: whatever is longer is a slip, not a health check.
const LONGEST_TIMEOUT_MS: u32 = 3_600_000;

/// One check of one port, bounded by one time-out.
#[derive(Debug, PartialEq, Eq)]
pub struct Check<'a> {
    /// What to do with the port.
    pub target: Target<'a>,
    /// The port on the loopback addresses.
    pub port: u16,
    /// The bound of everything, from the first packet to the verdict.
    pub timeout_ms: u32,
}

/// What is expected behind the port.
#[derive(Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// Something that accepts connections.
    Tcp,
    /// Something that answers `GET path` with a status of 200 to 399.
    Http {
        /// The request target, as it is sent.
        path: &'a str,
        /// The `Host` header where the app insists on one; `localhost:PORT` otherwise.
        host: Option<&'a str>,
    },
}

impl<'a> Check<'a> {
    /// Reads the arguments after the program's name; `None` means usage.
    pub fn parse(mut arguments: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let kind = arguments.next()?;
        let port = number(arguments.next()?, 1, u16::MAX.into())?;
        // Zero would disarm the timer and so mean "for ever".
        let timeout_ms = number(arguments.next()?, 1, LONGEST_TIMEOUT_MS)?;
        let target = match kind {
            b"tcp" => Target::Tcp,
            b"http" => Target::Http {
                path: word(arguments.next()?, LONGEST_PATH).filter(|path| path.starts_with('/'))?,
                host: match arguments.next() {
                    Some(host) => Some(word(host, LONGEST_HOST)?),
                    None => None,
                },
            },
            _ => return None,
        };
        match arguments.next() {
            Some(_) => None,
            None => Some(Self { target, port: u16::try_from(port).ok()?, timeout_ms }),
        }
    }
}

fn number(argument: &[u8], least: u32, most: u32) -> Option<u32> {
    let number = str::from_utf8(argument).ok()?.parse().ok()?;
    (least..=most).contains(&number).then_some(number)
}

/// Text that cannot break out of its place in the request: no spaces, no control characters, not empty.
fn word(argument: &[u8], longest: usize) -> Option<&str> {
    let word = str::from_utf8(argument).ok()?;
    let fits = (1..=longest).contains(&word.len());
    let plain = !word.chars().any(|c| c.is_control() || c.is_whitespace());
    (fits && plain).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &str) -> Option<Check<'_>> {
        Check::parse(arguments.split('|').map(str::as_bytes))
    }

    #[test]
    fn reads_both_kinds() {
        assert_eq!(
            parse("tcp|5432|1500"),
            Some(Check { target: Target::Tcp, port: 5432, timeout_ms: 1500 })
        );
        assert_eq!(
            parse("http|8080|1500|/health?full=1"),
            Some(Check {
                target: Target::Http { path: "/health?full=1", host: None },
                port: 8080,
                timeout_ms: 1500
            })
        );
        let check = parse("http|8080|1500|/|shop.example").expect("a check");
        assert_eq!(check.target, Target::Http { path: "/", host: Some("shop.example") });
    }

    #[test]
    fn refuses_what_it_does_not_understand() {
        for arguments in [
            "",
            "tcp",
            "tcp|80",
            "tcp|0|1500",
            "tcp|65536|1500",
            "tcp|-1|1500",
            "tcp|80|0",
            "tcp|80|3600001",
            "tcp|80|1500|/",
            "udp|80|1500",
            "http|80|1500",
            "http|80|1500|health",
            "http|80|1500|/a b",
            "http|80|1500|/a\r\nX: y",
            "http|80|1500|/|",
            "http|80|1500|/|a\nb",
            "http|80|1500|/|host|more",
        ] {
            assert_eq!(parse(arguments), None, "{arguments:?}");
        }
    }
}
