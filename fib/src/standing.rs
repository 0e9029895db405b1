//! TCP connections that stand to given addresses, how long each was quiet, and their end: asked and ordered over sock_diag
//! (`include/uapi/linux/inet_diag.h`, `include/uapi/linux/sock_diag.h`). To ask needs no privilege.

use std::net::SocketAddr;
use std::time::Duration;

use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::nlas::Nla;
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags};
use netlink_packet_sock_diag::{SockDiagDestroy, SockDiagMessage, SockDiagMessage::InetResponse as Answer};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use crate::question::QuestionSocket;
use crate::request::Request;
use crate::sock_diag::message;
use crate::{Errno, RtnlError};

/// Places in `struct tcp_info` (include/uapi/linux/tcp.h), each a `u32` of milliseconds.
const LAST_DATA_SENT: usize = 44;
const LAST_DATA_RECEIVED: usize = 52;

/// What passed over a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes that came and were not read, and bytes that were sent and not acknowledged.
    pub queued: u64,
    /// How long ago data was sent; the kernel counts in its ticks of 1 to 10 ms.
    pub sent: Duration,
    /// How long ago data came.
    pub received: Duration,
}

/// An established connection of this network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// This side. A mapped address is one of IPv4.
    pub local: SocketAddr,
    /// The other.
    pub peer: SocketAddr,
    /// What passed over it.
    pub traffic: Traffic,
    family: u8,
    /// With the socket's cookie: no later connection of the same ends is meant.
    id: SocketId,
}

impl Standing {
    pub(crate) fn of(message: SockDiagMessage) -> Option<Self> {
        let Answer(response) = message else {
            return None;
        };
        let InetResponse { header, nlas } = *response;
        let info = nlas.iter().find_map(|nla| match nla {
            Nla::TcpInfo(info) => Some(info),
            _ => None,
        })?;
        let ago = |place: usize| {
            let bytes = info.get(place..place + 4)?.try_into().ok()?;
            Some(Duration::from_millis(u32::from_ne_bytes(bytes).into()))
        };
        let id = header.socket_id;
        Some(Self {
            local: SocketAddr::new(id.source_address.to_canonical(), id.source_port),
            peer: SocketAddr::new(id.destination_address.to_canonical(), id.destination_port),
            traffic: Traffic {
                queued: u64::from(header.recv_queue) + u64::from(header.send_queue),
                sent: ago(LAST_DATA_SENT)?,
                received: ago(LAST_DATA_RECEIVED)?,
            },
            family: header.family,
            id,
        })
    }
}

fn request(family: u8, socket_id: SocketId) -> SockDiagMessage {
    SockDiagMessage::InetRequest(InetRequest {
        family,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::INFO,
        states: StateFlags::ESTABLISHED,
        socket_id,
    })
}

/// The connections that are established from here to one of these.
///
/// # Errors
/// Where the kernel has no sock_diag.
pub fn standing(peers: &[SocketAddr]) -> Result<Vec<Standing>, RtnlError> {
    let mut socket = QuestionSocket::open(NETLINK_SOCK_DIAG)?;
    let mut found = Vec::new();
    for (family, socket_id) in [(AF_INET, SocketId::new_v4()), (AF_INET6, SocketId::new_v6())] {
        // What an inconsistent dump left out is there the next time.
        let request = Request::of(&request(family, socket_id));
        found.extend(socket.dump(request, |frame| Standing::of(message(frame)?))?.found);
    }
    found.retain(|one| peers.contains(&one.peer));
    Ok(found)
}

/// Ends a connection: its peer gets RST, its owner ECONNABORTED (`tcp_abort`, net/ipv4/tcp.c). Needs CAP_NET_ADMIN. True
/// where it was there.
///
/// # Errors
/// `Refused` with EPERM without the privilege, with EOPNOTSUPP where the kernel is built without CONFIG_INET_DIAG_DESTROY.
pub fn end_connection(connection: &Standing) -> Result<bool, RtnlError> {
    let mut socket = QuestionSocket::open(NETLINK_SOCK_DIAG)?;
    let order = SockDiagDestroy::new(request(connection.family, connection.id.clone()));
    match socket.order(Request::of(&order)) {
        Ok(()) => Ok(true),
        Err(error) if error.errno() == Some(Errno::NOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read, Write};
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};

    fn pair(listen: IpAddr, dial: IpAddr) -> (TcpStream, TcpStream, SocketAddr) {
        let listener = TcpListener::bind((listen, 0)).unwrap();
        let peer = listener.local_addr().unwrap();
        let client = TcpStream::connect((dial, peer.port())).unwrap();
        (client, listener.accept().unwrap().0, peer)
    }

    #[test]
    fn only_the_side_that_dialled_is_seen_with_what_is_queued() {
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped().into();
        for (listen, dial) in
            [(here, here), (here, mapped), (Ipv6Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into())]
        {
            let (client, mut server, peer) = pair(listen, dial);
            let found = standing(&[peer]).unwrap();
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(
                (found[0].local.port(), found[0].traffic.queued),
                (client.local_addr().unwrap().port(), 0)
            );
            server.write_all(b"unread").unwrap();
            assert_eq!(standing(&[peer]).unwrap()[0].traffic.queued, 6);
            let other = SocketAddr::new(peer.ip(), 1);
            assert_eq!(standing(&[other]).unwrap(), []);
        }
    }

    #[test]
    fn an_ended_connection_is_reset_and_a_later_one_is_not_meant() {
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let (mut client, mut server, peer) = pair(here, Ipv4Addr::LOCALHOST.to_ipv6_mapped().into());
        let found = standing(&[peer]).unwrap();
        match end_connection(&found[0]) {
            Ok(was_there) => assert!(was_there),
            // A user without the privilege, and a kernel without the option.
            Err(error) => {
                assert!(matches!(error.errno(), Some(Errno::PERM | Errno::OPNOTSUPP)), "{error}");
                return;
            }
        }
        let client_error = client.read(&mut [0]).unwrap_err();
        assert_eq!(client_error.kind(), ErrorKind::ConnectionAborted);
        assert_eq!(server.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert!(!end_connection(&found[0]).unwrap());
    }
}
