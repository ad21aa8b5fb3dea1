//! Names, as Docker's DNS inside a container answers them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};

use crate::attempt::{Outcome, PATIENCE, of_error};

/// Where Docker's DNS is in every container that is on a network of Docker's.
const DOCKERS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11)), 53);

/// The addresses of a name. Docker passes on what it does not know; where nobody answers that, it is unknown as well.
pub(crate) fn resolve(name: &str) -> Outcome {
    let asked = question(name).map_err(|error| Outcome::Failed { error });
    match asked.and_then(|question| ask(&question).map_err(|error| of_error(&error))) {
        Ok(answer) => read(&answer),
        Err(Outcome::Silent) => Outcome::Unknown,
        Err(outcome) => outcome,
    }
}

fn question(name: &str) -> Result<Vec<u8>, String> {
    let mut packet = Packet::new_query(1);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).map_err(|error| error.to_string())?;
    packet.questions.push(Question::new(
        name,
        QTYPE::TYPE(TYPE::A),
        QCLASS::CLASS(CLASS::IN),
        false,
    ));
    packet.build_bytes_vec().map_err(|error| error.to_string())
}

fn ask(question: &[u8]) -> std::io::Result<Vec<u8>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(DOCKERS)?;
    socket.send(question)?;
    let mut answer = vec![0; 4096];
    let length = socket.recv(&mut answer)?;
    answer.truncate(length);
    Ok(answer)
}

fn read(answer: &[u8]) -> Outcome {
    let packet = match Packet::parse(answer) {
        Ok(packet) => packet,
        Err(error) => return Outcome::Failed { error: error.to_string() },
    };
    let addresses: Vec<Ipv4Addr> = packet
        .answers
        .iter()
        .filter_map(|record| match &record.rdata {
            RData::A(address) => Some(Ipv4Addr::from(address.address)),
            _ => None,
        })
        .collect();
    match packet.rcode() {
        _ if !addresses.is_empty() => Outcome::Resolved { addresses },
        RCODE::NoError | RCODE::NameError | RCODE::ServerFailure | RCODE::Refused => {
            Outcome::Unknown
        }
        other => Outcome::Failed { error: format!("{other:?}") },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_question_is_one_and_is_no_answer() {
        let bytes = question("web.internal").unwrap();
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.questions.len(), 1);
        assert_eq!(read(&bytes), Outcome::Unknown);
    }
}
