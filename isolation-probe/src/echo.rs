//! Echo requests over ICMP, on a datagram socket: Docker lets every container have those.

use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

use crate::attempt::{Outcome, PATIENCE};

/// An echo request (RFC 792): type 8, code 0. The kernel fills in checksum and identifier.
const REQUEST: [u8; 12] = [8, 0, 0, 0, 0, 0, 0, 1, b's', b'k', b'e', b'p'];

/// Asks for an echo and waits for it.
pub(crate) fn echo(address: Ipv4Addr) -> std::io::Result<Outcome> {
    let mut socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::ICMPV4))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(&SocketAddr::from((address, 0)).into())?;
    socket.send(&REQUEST)?;
    socket.read_exact(&mut [0; 8])?;
    Ok(Outcome::Answered)
}
