//! Runs the finished program against real listeners on loopback and reads what Docker would: exit code and line.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_skep-probe");

/// Runs the probe; returns its exit code and its line, without the end-of-line.
fn probe(arguments: &[&str]) -> (i32, String) {
    let output = Command::new(PROGRAM)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the probe runs");
    assert!(output.stderr.is_empty(), "{:?}", output.stderr);
    let text = String::from_utf8(output.stdout).expect("text");
    let line = text.strip_suffix('\n').expect("an end-of-line");
    assert!(!line.contains('\n'), "one line: {line:?}");
    (output.status.code().expect("no signal"), line.to_owned())
}

fn http(port: u16, timeout_ms: u32) -> (i32, String) {
    probe(&["http", &port.to_string(), &timeout_ms.to_string(), "/health"])
}

/// A listener that serves one connection with `serve`, which gets the request; returns what the
/// connection still gave after that (the probe sends nothing more: empty, or how it was cut off).
fn server(
    serve: impl FnOnce(&mut TcpStream, &str) + Send + 'static,
) -> (u16, JoinHandle<Result<Vec<u8>, ErrorKind>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time-out");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a whole request");
            request.extend(byte);
        }
        serve(&mut stream, &String::from_utf8(request).expect("text"));
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).map(|_| rest).map_err(|error| error.kind())
    });
    (port, thread)
}

/// The outcome of a check on an app that answers exactly this and closes.
fn answered(answer: &str) -> (i32, String) {
    let answer = answer.to_owned();
    let (port, thread) = server(move |stream, _| {
        stream.write_all(answer.as_bytes()).expect("writes");
        stream.shutdown(std::net::Shutdown::Write).expect("closes");
    });
    let outcome = http(port, 5000);
    assert_eq!(thread.join().expect("the server ends"), Ok(Vec::new()), "the app saw a clean end");
    outcome
}

/// A port that nothing listens on and nobody else can be given while this lives: it is a
/// connection's own end.
struct ClosedPort {
    _listener: TcpListener,
    connection: TcpStream,
}

impl ClosedPort {
    fn hold() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("bound");
        let connection = TcpStream::connect(address).expect("a connection");
        Self { _listener: listener, connection }
    }

    fn number(&self) -> u16 {
        self.connection.local_addr().expect("connected").port()
    }
}

#[test]
fn tcp_open_and_closed() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    assert_eq!(
        probe(&["tcp", &port.to_string(), "1000"]),
        (0, format!("connect 127.0.0.1:{port}: ok"))
    );
    drop(listener);
    let closed = ClosedPort::hold();
    let port = closed.number();
    assert_eq!(
        probe(&["tcp", &port.to_string(), "1000"]),
        (1, format!("connect 127.0.0.1:{port}: refused"))
    );
    assert_eq!(http(port, 1000), (1, format!("connect 127.0.0.1:{port}: refused")));
}

#[test]
fn falls_back_to_ipv6() {
    // A machine without IPv6 has nothing to fall back to.
    let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
        return;
    };
    let port = listener.local_addr().expect("bound").port();
    assert_eq!(
        probe(&["tcp", &port.to_string(), "1000"]),
        (0, format!("connect [::1]:{port}: ok"))
    );
}

#[test]
fn a_listener_that_does_not_accept_times_out() {
    // The backlog of a listener that never accepts holds a few connections; the rest waits for its SYN to be answered.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    let mut held = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        held.push(stream);
        assert!(held.len() < 10_000, "the backlog has an end");
    }
    let outcome = probe(&["tcp", &address.port().to_string(), "300"]);
    assert_eq!(outcome, (1, "timeout after 300 ms connecting".to_owned()));
}

#[test]
fn the_status_decides() {
    for (answer, code, line) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 0, "http 200"),
        ("HTTP/1.0 302 Found\r\nLocation: /elsewhere\r\n\r\n", 0, "http 302"),
        ("HTTP/1.1 404 Not Found\r\n\r\n", 1, "http 404"),
        ("HTTP/1.1 500 Internal Server Error\r\n\r\n", 1, "http 500"),
        (
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
            0,
            "http 204",
        ),
    ] {
        assert_eq!(answered(answer), (code, line.to_owned()), "{answer:?}");
    }
}

#[test]
fn says_what_came_instead_of_http() {
    assert_eq!(
        answered("SSH-2.0-OpenSSH_9.2\r\n"),
        (1, "not http: \"SSH-2.0-OpenSSH_9.2..\"".to_owned())
    );
    assert_eq!(answered("\u{1}\u{2} garbage"), (1, "not http: \".. garbage\"".to_owned()));
    assert_eq!(answered(""), (1, "closed before the status line".to_owned()));
    assert_eq!(answered("HTTP/1.1 2"), (1, "closed before the status line".to_owned()));
}

#[test]
fn an_endless_interim_answer_is_not_http() {
    let (port, thread) = server(|stream, _| {
        let answer = format!("HTTP/1.1 103 Early Hints\r\nLink: {}", "x".repeat(8000));
        stream.write_all(answer.as_bytes()).expect("writes");
    });
    assert_eq!(http(port, 5000), (1, "not http: \"HTTP/1.1 103 Early Hints\"".to_owned()));
    thread.join().expect("the server ends").ok();
}

#[test]
fn sends_the_path_and_the_host() {
    let (requests, received) = std::sync::mpsc::channel();
    let (port, thread) = server(move |stream, request| {
        requests.send(request.to_owned()).expect("the test listens");
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").expect("writes");
    });
    assert_eq!(probe(&["http", &port.to_string(), "5000", "/up?x=1", "shop.example"]).0, 0);
    let request = received.recv().expect("a request");
    assert!(request.starts_with("GET /up?x=1 HTTP/1.1\r\nHost: shop.example\r\n"), "{request}");
    thread.join().expect("the server ends").expect("a clean end");
}

/// Runs `check` and asserts that it ends soon after the time-out, not long before it and not long after.
fn takes(timeout_ms: u32, check: impl FnOnce() -> (i32, String)) -> (i32, String) {
    let start = Instant::now();
    let outcome = check();
    let elapsed = start.elapsed();
    assert!(elapsed >= Duration::from_millis(timeout_ms.into()), "{elapsed:?}");
    // Generous: the machine may be busy.
    assert!(elapsed < Duration::from_millis(u64::from(timeout_ms) + 2000), "{elapsed:?}");
    outcome
}

#[test]
fn a_silent_app_times_out() {
    let (port, thread) = server(|_, _| ());
    let outcome = takes(400, || http(port, 400));
    assert_eq!(outcome, (1, "timeout after 400 ms waiting for the status line".to_owned()));
    thread.join().expect("the server ends").expect("a clean end");
}

#[test]
fn a_trickling_app_times_out() {
    // Each byte comes soon, the status never does: the bound is on the whole, not on each read.
    let (port, thread) = server(|stream, _| {
        for byte in
            "HTTP/1.1 103 Early Hints\r\nLink: ".bytes().chain(std::iter::repeat_n(b'x', 200))
        {
            if stream.write_all(&[byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    });
    let outcome = takes(500, || http(port, 500));
    assert_eq!(outcome, (1, "timeout after 500 ms waiting for the status line".to_owned()));
    thread.join().expect("the server ends").ok();
}

#[test]
fn an_endless_body_is_healthy_and_bounded() {
    let (port, thread) = server(|stream, _| {
        let mut answer = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        answer.resize(64 * 1024, b'x');
        while stream.write_all(&answer).is_ok() {}
    });
    let start = Instant::now();
    assert_eq!(http(port, 5000), (0, "http 200".to_owned()));
    assert!(start.elapsed() < Duration::from_secs(4), "it does not read on to the time-out");
    thread.join().expect("the server ends").ok();
}

#[test]
fn a_connection_kept_open_is_healthy_at_once() {
    let (port, thread) = server(|stream, _| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("writes");
    });
    let start = Instant::now();
    assert_eq!(http(port, 5000), (0, "http 200".to_owned()));
    assert!(start.elapsed() < Duration::from_secs(4), "it does not wait for the time-out");
    thread.join().expect("the server ends").expect("a clean end");
}

#[test]
fn usage() {
    for arguments in
        [&[][..], &["tcp", "80"], &["tcp", "80", "0"], &["http", "80", "1000", "health"], &["help"]]
    {
        let (code, line) = probe(arguments);
        assert_eq!(code, 2, "{arguments:?}");
        assert!(line.starts_with("usage: skep-probe tcp PORT TIMEOUT_MS"), "{line}");
    }
}

#[test]
fn a_closed_stdout_does_not_change_the_verdict() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let script = format!("exec '{PROGRAM}' tcp {port} 1000 >&- 2>&- <&-");
    let status = Command::new("sh").args(["-c", &script]).status().expect("a shell");
    assert_eq!(status.code(), Some(0));
}
