//! Whether a TCP socket listens where the conductor will call back, asked over sock_diag
//! (`include/uapi/linux/inet_diag.h`); needs no privilege.

use std::net::IpAddr;

use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags};
use netlink_packet_sock_diag::{SockDiagMessage, SockDiagMessage::InetResponse};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use crate::RtnlError;
use crate::question::{Extent, QuestionSocket};

/// Whether something listens on `port` at `address` or at the unspecified address. `None` for the address asks for
/// any. An IPv6 wildcard listener counts for IPv4 too: whether it is v6-only is not told without privilege, and IPA
/// listens on `::` for both.
///
/// # Errors
/// Where the kernel has no sock_diag.
pub fn listens(address: Option<IpAddr>, port: u16) -> Result<bool, RtnlError> {
    let mut socket = QuestionSocket::open(NETLINK_SOCK_DIAG)?;
    for (family, mut socket_id) in [(AF_INET, SocketId::new_v4()), (AF_INET6, SocketId::new_v6())] {
        socket_id.source_port = port;
        let request = SockDiagMessage::InetRequest(InetRequest {
            family,
            protocol: IPPROTO_TCP,
            extensions: ExtensionFlags::empty(),
            states: StateFlags::LISTEN,
            socket_id,
        });
        let found = socket.ask(request, Extent::Dump, |message| match message {
            InetResponse(response) => Some(response.header.socket_id),
            _ => None,
        })?;
        let serves = |id: &SocketId| {
            id.source_port == port
                && address.is_none_or(|wanted| {
                    id.source_address.is_unspecified()
                        || id.source_address.to_canonical() == wanted.to_canonical()
                })
        };
        if found.iter().any(serves) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};

    #[test]
    fn sees_listeners_by_address_and_port() {
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let elsewhere = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
        let listener = TcpListener::bind((here, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(listens(Some(here), port).unwrap());
        assert!(listens(None, port).unwrap());
        assert!(!listens(Some(elsewhere), port).unwrap());
        drop(listener);
        assert!(!listens(None, port).unwrap());

        let wildcard = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
        let port = wildcard.local_addr().unwrap().port();
        assert!(listens(Some(here), port).unwrap());
        assert!(listens(Some(Ipv6Addr::LOCALHOST.into()), port).unwrap());
    }
}
