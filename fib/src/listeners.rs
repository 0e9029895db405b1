//! Whether a TCP socket listens where the conductor will call back, asked over sock_diag
//! (`include/uapi/linux/inet_diag.h`); needs no privilege.

use std::net::IpAddr;

use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::nlas::Nla;
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags};
use netlink_packet_sock_diag::{SockDiagMessage, SockDiagMessage::InetResponse as Answer};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use crate::RtnlError;
use crate::question::QuestionSocket;
use crate::request::Request;
use crate::sock_diag::message;

/// A socket that listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listener {
    /// What it is bound to. A mapped address is one of IPv4.
    ip: IpAddr,
    pub(crate) port: u16,
    /// IPv6 only (`IPV6_V6ONLY`, ipv6(7)): the kernel says so without privilege since Linux 4.3. False where it does not.
    v6_only: bool,
}

impl Listener {
    pub(crate) fn of(message: SockDiagMessage) -> Option<Self> {
        let Answer(response) = message else {
            return None;
        };
        let InetResponse { header, nlas } = *response;
        let v6_only = nlas.iter().any(|nla| matches!(nla, Nla::SkV6Only(true)));
        let ip = header.socket_id.source_address.to_canonical();
        Some(Self { ip, port: header.socket_id.source_port, v6_only })
    }

    /// Whether a connection to this address comes to it. The unspecified address stands for any of its family.
    pub(crate) fn serves(&self, wanted: IpAddr) -> bool {
        match (self.ip, wanted.to_canonical()) {
            (IpAddr::V6(ip), IpAddr::V4(_)) => ip.is_unspecified() && !self.v6_only,
            (IpAddr::V4(_), IpAddr::V6(_)) => false,
            (ip, wanted) => ip.is_unspecified() || wanted.is_unspecified() || ip == wanted,
        }
    }
}

/// Whether something listens on `port` at `address`, or at the unspecified address of its family. The unspecified address
/// asks for any of its family, `None` for any at all. An IPv6 wildcard listener counts for IPv4 too, unless it is IPv6 only.
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
        let found = socket.all(Request::of(&request), |frame| Listener::of(message(frame)?))?;
        let serves = |listener: &Listener| {
            listener.port == port && address.is_none_or(|wanted| listener.serves(wanted))
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

        let four_only = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = four_only.local_addr().unwrap().port();
        assert!(listens(Some(here), port).unwrap());
        assert!(!listens(Some(Ipv6Addr::LOCALHOST.into()), port).unwrap());
    }
}
