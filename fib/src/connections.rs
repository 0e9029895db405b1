//! TCP connections on a local port, asked over sock_diag (`include/uapi/linux/inet_diag.h`); needs no privilege.

use std::collections::HashSet;
use std::net::SocketAddr;

use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use netlink_packet_sock_diag::{SockDiagMessage, SockDiagMessage::InetResponse};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use crate::RtnlError;
use crate::question::QuestionSocket;
use crate::request::Request;
use crate::sock_diag::message;

/// The two ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Connection {
    /// This side.
    pub local: SocketAddr,
    /// The other.
    pub peer: SocketAddr,
}

/// The connections that are established on local port `port`, or were a moment ago. Mapped addresses are IPv4 ones.
///
/// # Errors
/// Where the kernel has no sock_diag.
pub fn connections(port: u16) -> Result<HashSet<Connection>, RtnlError> {
    let mut socket = QuestionSocket::open(NETLINK_SOCK_DIAG)?;
    let states = || {
        StateFlags::ESTABLISHED
            | StateFlags::FIN_WAIT1
            | StateFlags::FIN_WAIT2
            | StateFlags::TIME_WAIT
            | StateFlags::CLOSE_WAIT
            | StateFlags::LAST_ACK
            | StateFlags::CLOSING
    };
    let mut found = HashSet::new();
    for (family, mut socket_id) in [(AF_INET, SocketId::new_v4()), (AF_INET6, SocketId::new_v6())] {
        socket_id.source_port = port;
        let request = SockDiagMessage::InetRequest(InetRequest {
            family,
            protocol: IPPROTO_TCP,
            extensions: ExtensionFlags::empty(),
            states: states(),
            socket_id,
        });
        // What an inconsistent dump left out is there the next time.
        let seen = socket.dump(Request::of(&request), |frame| match message(frame)? {
            InetResponse(response) => Some(response.header.socket_id),
            _ => None,
        })?;
        let ends = seen.found.iter().filter(|id| id.source_port == port);
        found.extend(ends.map(|id| Connection {
            local: SocketAddr::new(id.source_address.to_canonical(), id.source_port),
            peer: SocketAddr::new(id.destination_address.to_canonical(), id.destination_port),
        }));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};

    #[test]
    fn both_families_and_only_this_port() {
        let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(connections(port).unwrap(), HashSet::new());
        let four = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let six = TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
        let expected = [&four, &six].map(|stream| Connection {
            local: stream.peer_addr().unwrap(),
            peer: stream.local_addr().unwrap(),
        });
        assert_eq!(connections(port).unwrap(), HashSet::from(expected));
    }
}
