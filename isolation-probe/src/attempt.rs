//! Attempts: what the plan says to try, and what came of it.

use std::error::Error;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::{echo, name, route};

/// The port that the other end listens on.
pub(crate) const PORT: u16 = 4242;
/// How long one's own network may take until everything on it answers: nodes hear of each other's tasks by and by, and all at once
/// twice a minute (moby, `libnetwork/networkdb`), which on busy nodes fails once.
const CONVERGED: Duration = Duration::from_secs(75);
/// Between two rounds.
const PAUSE: Duration = Duration::from_millis(500);
/// How long an answer is waited for. What comes later than that on one network comes never.
pub(crate) const PATIENCE: Duration = Duration::from_millis(1500);
/// Most attempts of a plan.
const MOST: usize = 256;

#[derive(Deserialize)]
struct Attempt {
    /// What the finding is told by.
    id: u32,
    /// Whether it is meant for somebody on one's own network.
    #[serde(default)]
    own: bool,
    #[serde(flatten)]
    what: What,
}

/// What to try. An address that is left out is the default gateway's.
#[derive(Deserialize)]
#[serde(tag = "try", rename_all = "snake_case")]
enum What {
    Tcp { address: Option<Ipv4Addr>, port: u16 },
    Udp { address: Ipv4Addr, port: u16 },
    Icmp { address: Option<Ipv4Addr> },
    Name { name: String },
}

/// What came of it.
#[derive(Serialize, Debug, Clone, PartialEq)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Somebody answered.
    Answered,
    /// Somebody answered that nothing listens there.
    Refused,
    /// Nobody did.
    Silent,
    /// The name stands for these.
    Resolved { addresses: Vec<Ipv4Addr> },
    /// Docker's DNS does not know it.
    Unknown,
    /// There is no way there: no route, or no gateway.
    NoWay,
    /// It could not be tried.
    Failed { error: String },
}

#[derive(Serialize)]
struct Finding {
    id: u32,
    #[serde(flatten)]
    outcome: Outcome,
}

/// Carries the plan out, all attempts at once, and those that nobody answers again until one's own network answers. Then once more,
/// where nobody did: silence of others counts when one's own are heard.
pub(crate) fn carry_out(plan: &str) -> Result<(), Box<dyn Error>> {
    let plan: Vec<Attempt> = serde_json::from_str(plan)?;
    if plan.len() > MOST {
        return Err(format!("a plan of {} attempts; no more than {MOST}", plan.len()).into());
    }
    let gateway = route::gateway();
    let deadline = Instant::now() + CONVERGED;
    let mut findings = vec![Outcome::Silent; plan.len()];
    loop {
        round(&plan, &mut findings, gateway);
        let waits =
            plan.iter().zip(&findings).any(|(attempt, found)| attempt.own && is_quiet(found));
        if !waits || Instant::now() >= deadline {
            break;
        }
        thread::sleep(PAUSE);
    }
    round(&plan, &mut findings, gateway);
    for (attempt, outcome) in plan.iter().zip(findings) {
        println!("{}", serde_json::to_string(&Finding { id: attempt.id, outcome })?);
    }
    Ok(())
}

/// Nobody was heard: somebody may be, later.
const fn is_quiet(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Silent | Outcome::Unknown | Outcome::NoWay)
}

/// Makes every attempt that nobody has answered, at once.
fn round(plan: &[Attempt], findings: &mut [Outcome], gateway: Option<Ipv4Addr>) {
    thread::scope(|scope| {
        for (attempt, found) in plan.iter().zip(findings).filter(|(_, found)| is_quiet(found)) {
            scope.spawn(move || *found = try_it(&attempt.what, gateway));
        }
    });
}

fn try_it(what: &What, gateway: Option<Ipv4Addr>) -> Outcome {
    let outcome = match what {
        What::Tcp { address, port } => match address.or(gateway) {
            Some(address) => tcp(SocketAddr::from((address, *port))),
            None => return Outcome::NoWay,
        },
        What::Udp { address, port } => udp(SocketAddr::from((*address, *port))),
        What::Icmp { address } => match address.or(gateway) {
            Some(address) => echo::echo(address),
            None => return Outcome::NoWay,
        },
        What::Name { name } => return name::resolve(name),
    };
    outcome.unwrap_or_else(|error| of_error(&error))
}

/// Connects. Whoever takes the connection has heard.
fn tcp(to: SocketAddr) -> std::io::Result<Outcome> {
    TcpStream::connect_timeout(&to, PATIENCE)?;
    Ok(Outcome::Answered)
}

fn udp(to: SocketAddr) -> std::io::Result<Outcome> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(to)?;
    socket.send(b"skep")?;
    socket.recv(&mut [0; 8])?;
    Ok(Outcome::Answered)
}

pub(crate) fn of_error(error: &std::io::Error) -> Outcome {
    match error.kind() {
        ErrorKind::ConnectionRefused => Outcome::Refused,
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Outcome::Silent,
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => Outcome::NoWay,
        _ => Outcome::Failed { error: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::{TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn a_plan_is_read_as_the_worker_writes_it() {
        let plan = r#"[{ "id": 1, "try": "tcp", "address": "10.0.0.2", "port": 4242 }, { "id": 2, "try": "tcp", "address": null, "port": 22 },
            { "id": 3, "try": "icmp", "address": null }, { "id": 4, "try": "name", "name": "web" },
            { "id": 5, "try": "udp", "address": "10.0.0.2", "port": 4242 }]"#;
        let plan: Vec<Attempt> = serde_json::from_str(plan).unwrap();
        assert_eq!(plan.iter().map(|attempt| attempt.id).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn what_listens_answers_and_what_does_not_refuses() {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = tcp.local_addr().unwrap().port();
        let here = Some(Ipv4Addr::LOCALHOST);
        assert_eq!(try_it(&What::Tcp { address: here, port }, None), Outcome::Answered);
        drop(tcp);
        assert_eq!(try_it(&What::Tcp { address: here, port }, None), Outcome::Refused);
        assert_eq!(try_it(&What::Tcp { address: None, port }, None), Outcome::NoWay);
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = udp.local_addr().unwrap().port();
        let address = Ipv4Addr::LOCALHOST;
        assert_eq!(try_it(&What::Udp { address, port }, None), Outcome::Silent);
    }
}
