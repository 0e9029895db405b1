//! The cookie and the owner of a TCP socket by its two ends, asked over sock_diag (`include/uapi/linux/inet_diag.h`); needs no privilege.

use std::net::{IpAddr, SocketAddr};

use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags};
use netlink_packet_sock_diag::{SockDiagMessage, SockDiagMessage::InetResponse};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use crate::question::QuestionSocket;
use crate::request::Request;
use crate::sock_diag::message;
use crate::{Errno, RtnlError};

/// Whose a socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The user that made it.
    pub uid: u32,
    /// Its inode number: what stands in the links of `/proc/PID/fd`.
    pub inode: u32,
}

/// The cookie of the socket of this network namespace whose own end is `local`: what `SO_COOKIE` and the BPF helper
/// `bpf_get_socket_cookie` give too. `None` where there is no such socket.
///
/// # Errors
/// Where the kernel has no sock_diag.
pub fn socket_cookie(local: SocketAddr, peer: SocketAddr) -> Result<Option<u64>, RtnlError> {
    // `sock_diag_save_cookie` writes the lower half first, each in the machine's order.
    Ok(found(local, peer)?.map(|header| {
        let [a, b, c, d, e, f, g, h] = header.socket_id.cookie;
        u64::from(u32::from_ne_bytes([a, b, c, d])) | u64::from(u32::from_ne_bytes([e, f, g, h])) << 32
    }))
}

/// Whose the socket of this network namespace is whose own end is `local`. `None` where there is no such socket, or no
/// process has it any more: then the kernel gives user 0 and inode 0 (`sock_i_uid`, net/core/sock.c;
/// `inet_twsk_diag_fill`, net/ipv4/inet_diag.c).
///
/// # Errors
/// Where the kernel has no sock_diag.
pub fn socket_owner(local: SocketAddr, peer: SocketAddr) -> Result<Option<Owner>, RtnlError> {
    let owner = found(local, peer)?.map(|header| Owner { uid: header.uid, inode: header.inode });
    Ok(owner.filter(|owner| owner.inode != 0))
}

/// An IPv6 socket that uses mapped addresses is found by the IPv4 ones. The kernel looks one socket up, it does not go
/// through all of them.
fn found(local: SocketAddr, peer: SocketAddr) -> Result<Option<InetResponseHeader>, RtnlError> {
    let (local_ip, peer_ip) = (local.ip().to_canonical(), peer.ip().to_canonical());
    let (family, mut socket_id) = match local_ip {
        IpAddr::V4(_) => (AF_INET, SocketId::new_v4()),
        IpAddr::V6(_) => (AF_INET6, SocketId::new_v6()),
    };
    (socket_id.source_address, socket_id.source_port) = (local_ip, local.port());
    (socket_id.destination_address, socket_id.destination_port) = (peer_ip, peer.port());
    socket_id.cookie = [0xff; 8]; // INET_DIAG_NOCOOKIE, twice.
    let request = SockDiagMessage::InetRequest(InetRequest {
        family,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states: StateFlags::all(),
        socket_id,
    });
    let mut socket = QuestionSocket::open(NETLINK_SOCK_DIAG)?;
    let answer = socket.one(Request::of(&request), |frame| match message(frame)? {
        InetResponse(response) => Some(response.header),
        _ => None,
    });
    let is_it = |header: &InetResponseHeader| {
        (header.socket_id.source_port, header.socket_id.destination_port) == (local.port(), peer.port())
    };
    match answer {
        Ok(found) => Ok(Some(found).filter(is_it)),
        Err(error) if error.errno() == Some(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    use rustix::net::sockopt::socket_cookie as own_cookie;

    #[test]
    fn each_end_has_its_own_cookie() {
        for ip in [IpAddr::V4(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            let listener = TcpListener::bind((ip, 0)).unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (server, client_address) = listener.accept().unwrap();
            let server_address = server.local_addr().unwrap();
            let found = socket_cookie(client_address, server_address).unwrap();
            assert_eq!(found, Some(own_cookie(&client).unwrap()));
            let other = socket_cookie(server_address, client_address).unwrap();
            assert_eq!(other, Some(own_cookie(&server).unwrap()));
            assert_eq!(socket_cookie(client_address, SocketAddr::new(ip, 1)).unwrap(), None);
        }
    }

    #[test]
    fn a_socket_has_an_owner_as_long_as_a_process_has_it() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server_address = listener.local_addr().unwrap();
        let client = TcpStream::connect(server_address).unwrap();
        let (_server, client_address) = listener.accept().unwrap();
        let owner = socket_owner(client_address, server_address).unwrap().unwrap();
        let link = std::fs::read_link(format!("/proc/self/fd/{}", client.as_raw_fd())).unwrap();
        assert_eq!(link.to_str().unwrap(), format!("socket:[{}]", owner.inode));
        assert_eq!(owner.uid, rustix::process::geteuid().as_raw());
        drop(client); // Its peer has not closed: the kernel keeps it, and it is nobody's.
        assert!(socket_cookie(client_address, server_address).unwrap().is_some());
        assert_eq!(socket_owner(client_address, server_address).unwrap(), None);
    }

    #[test]
    fn a_mapped_client_is_found_by_its_ipv4_ends() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), port)).unwrap();
        let (server, client_address) = listener.accept().unwrap();
        let found = socket_cookie(client_address, server.local_addr().unwrap()).unwrap();
        assert_eq!(found, Some(own_cookie(&client).unwrap()));
    }
}
