//! A connection to the app over loopback, with one deadline for all that happens on it.

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrAny, SocketFlags, SocketType, connect,
    getsockname, recv, send, socket_with, sockopt,
};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

use crate::finding::{Finding, Step};

/// An open connection.
pub(crate) struct Connection {
    socket: OwnedFd,
    address: SocketAddr,
    deadline: Deadline,
}

impl Connection {
    /// Connects to the port on 127.0.0.1 or, where that is refused, on [::1]: some apps listen on IPv6 only.
    pub(crate) fn open(port: u16, timeout_ms: u32) -> Result<Self, Finding> {
        let deadline = Deadline::after(timeout_ms).map_err(Finding::Impossible)?;
        let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
        let (socket, address) = match handshake(v4, &deadline) {
            Ok(socket) => (socket, v4),
            Err(refused @ Finding::NotConnected(_, Errno::CONNREFUSED)) => {
                match handshake(v6, &deadline) {
                    Ok(socket) => (socket, v6),
                    Err(late @ Finding::TimedOut(..)) => return Err(late),
                    // Refused too, or there is no IPv6 here: the address that everybody knows tells more.
                    Err(_) => return Err(refused),
                }
            }
            Err(finding) => return Err(finding),
        };
        Ok(Self { socket, address, deadline })
    }

    /// The address that accepted.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends all of `bytes`.
    pub(crate) fn send(&self, mut bytes: &[u8]) -> Result<(), Finding> {
        while !bytes.is_empty() {
            self.deadline.wait(&self.socket, PollFlags::OUT, Step::Sending)?;
            // NOSIGNAL: a peer that is gone is a finding, not a reason to die of SIGPIPE.
            match send(&self.socket, bytes, SendFlags::NOSIGNAL) {
                Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(errno) => return Err(Finding::Broken(Step::Sending, errno)),
            }
        }
        Ok(())
    }

    /// Reads what has come, at least one byte; 0 means that the app closed the connection.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> Result<usize, Finding> {
        loop {
            self.deadline.wait(&self.socket, PollFlags::IN, Step::Reading)?;
            match recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
                Ok((received, _)) => return Ok(received),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(errno) => return Err(Finding::Broken(Step::Reading, errno)),
            }
        }
    }

    /// Reads the rest of the answer and forgets it, as long as it comes at once. Closing on unread data resets
    /// the connection, and the tenant's log would hold a "broken pipe" for every check.
    pub(crate) fn drain(&self) {
        const QUIET: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        const ENOUGH: usize = 64 * 1024;

        let mut scrap = [0; 1024];
        let mut drained = 0;
        while drained < ENOUGH
            && matches!(
                self.deadline.poll(&self.socket, PollFlags::IN, Some(&QUIET)),
                Ok(Ready::Socket)
            )
        {
            match recv(&self.socket, &mut scrap, RecvFlags::empty()) {
                Ok((0, _)) | Err(_) => return,
                Ok((received, _)) => drained += received,
            }
        }
    }
}

fn handshake(address: SocketAddr, deadline: &Deadline) -> Result<OwnedFd, Finding> {
    let refused = |errno| Finding::NotConnected(address, errno);
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket =
        socket_with(family, SocketType::STREAM, flags, None).map_err(Finding::Impossible)?;
    match connect(&socket, &address) {
        // INTR: the handshake goes on without us.
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => {}
        Err(errno) => return Err(refused(errno)),
    }
    deadline.wait(&socket, PollFlags::OUT, Step::Connecting)?;
    sockopt::socket_error(&socket).map_err(Finding::Impossible)?.map_err(refused)?;
    // With no listener, a port out of the ephemeral range can be handed to this very socket, and TCP then
    // connects it to itself. That is nobody listening.
    let own = getsockname(&socket).map_err(Finding::Impossible)?;
    if own == SocketAddrAny::from(address) {
        return Err(refused(Errno::CONNREFUSED));
    }
    Ok(socket)
}

/// The moment at which the check ends, as a timer that can be waited for together with the socket;
/// so the program never reads a clock, which without a C library takes more code than all the rest.
struct Deadline {
    timer: OwnedFd,
    timeout_ms: u32,
}

enum Ready {
    Timer,
    Socket,
    Neither,
}

impl Deadline {
    fn after(timeout_ms: u32) -> Result<Self, Errno> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec {
                tv_sec: (timeout_ms / 1000).into(),
                tv_nsec: (timeout_ms % 1000 * 1_000_000).into(),
            },
        };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &once)?;
        Ok(Self { timer, timeout_ms })
    }

    /// Waits until the socket is ready for `event`, or finds that the time is up.
    fn wait(&self, socket: &OwnedFd, event: PollFlags, step: Step) -> Result<(), Finding> {
        match self.poll(socket, event, None) {
            Ok(Ready::Socket | Ready::Neither) => Ok(()),
            Ok(Ready::Timer) => Err(Finding::TimedOut(step, self.timeout_ms)),
            Err(errno) => Err(Finding::Impossible(errno)),
        }
    }

    /// The timer comes first, so that a peer that never stops sending cannot outlast it.
    fn poll(
        &self,
        socket: &OwnedFd,
        event: PollFlags,
        patience: Option<&Timespec>,
    ) -> Result<Ready, Errno> {
        loop {
            let mut fds = [PollFd::new(&self.timer, PollFlags::IN), PollFd::new(socket, event)];
            match poll(&mut fds, patience) {
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
                Ok(_) => {
                    let [timer, socket] = fds.map(|fd| !fd.revents().is_empty());
                    return Ok(match (timer, socket) {
                        (true, _) => Ready::Timer,
                        (false, true) => Ready::Socket,
                        (false, false) => Ready::Neither,
                    });
                }
            }
        }
    }
}
