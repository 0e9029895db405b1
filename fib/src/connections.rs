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

impl Connection {
    /// Mapped addresses are IPv4 ones. `None`: the message is about no socket.
    pub(crate) fn of(message: SockDiagMessage) -> Option<Self> {
        let InetResponse(response) = message else {
            return None;
        };
        let SocketId { source_address, source_port, destination_address, destination_port, .. } =
            response.header.socket_id;
        Some(Self {
            local: SocketAddr::new(source_address.to_canonical(), source_port),
            peer: SocketAddr::new(destination_address.to_canonical(), destination_port),
        })
    }
}

/// The connections on local port `port` that were established and whose socket is still there; with `ended` also those
/// that this side closed within the last minute (TIME_WAIT). Mapped addresses are IPv4 ones.
///
/// # Errors
/// Where the kernel has no sock_diag.
pub fn connections(port: u16, ended: bool) -> Result<HashSet<Connection>, RtnlError> {
    let mut socket = QuestionSocket::open(NETLINK_SOCK_DIAG)?;
    let states = || {
        let open = StateFlags::ESTABLISHED
            | StateFlags::FIN_WAIT1
            | StateFlags::FIN_WAIT2
            | StateFlags::CLOSE_WAIT
            | StateFlags::LAST_ACK
            | StateFlags::CLOSING;
        if ended { open | StateFlags::TIME_WAIT } else { open }
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
        let seen = socket.dump(Request::of(&request), |frame| Connection::of(message(frame)?))?;
        found.extend(seen.found.into_iter().filter(|connection| connection.local.port() == port));
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
        assert_eq!(connections(port, true).unwrap(), HashSet::new());
        let four = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let six = TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
        let expected = [&four, &six].map(|stream| Connection {
            local: stream.peer_addr().unwrap(),
            peer: stream.local_addr().unwrap(),
        });
        assert_eq!(connections(port, true).unwrap(), HashSet::from(expected));
    }
}
