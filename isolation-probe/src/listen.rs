//! The other end: echoes over TCP and UDP. The kernel answers ICMP by itself.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::attempt::PORT;

/// How long a client may say nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers on every interface, and prints the address that it has on the network of `neighbour`.
pub(crate) fn listen(neighbour: &str) -> Result<(), Box<dyn Error>> {
    let udp = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT))?;
    let tcp = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))?;
    println!("{}", json!({ "listening": own_address(neighbour.parse()?)? }));
    thread::spawn(move || echo_datagrams(&udp));
    for stream in tcp.incoming().flatten() {
        // Who says nothing keeps none of the others waiting.
        thread::spawn(move || echo_stream(stream));
    }
    Ok(())
}

/// The address that this container has towards another: of the route, nothing is sent.
fn own_address(neighbour: Ipv4Addr) -> Result<String, Box<dyn Error>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(SocketAddr::from((neighbour, PORT)))?;
    Ok(socket.local_addr()?.ip().to_string())
}

fn echo_datagrams(socket: &UdpSocket) {
    let mut buffer = [0; 128];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        // Whoever is gone by now is not told.
        _ = socket.send_to(buffer.get(..length).unwrap_or_default(), from);
    }
}

fn echo_stream(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut buffer = [0; 128];
    let length = stream.read(&mut buffer)?;
    stream.write_all(buffer.get(..length).unwrap_or_default())
}
