//! TCP connections on a local port whose sockets go away, announced by sock_diag (`enum sknetlink_groups`,
//! `include/uapi/linux/sock_diag.h`, Linux 4.3 and newer); needs no privilege.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use socket2::{SockFilter, SockRef};

use crate::connections::Connection;
use crate::frames::frames;
use crate::sock_diag::message;
use crate::socket::{NetlinkSocket, Received};

/// `SKNLGRP_INET_TCP_DESTROY` and `SKNLGRP_INET6_TCP_DESTROY`.
const GROUPS: [u32; 2] = [1, 3];

/// Where a message has the local port: after `struct nlmsghdr` (16 bytes), in `struct inet_diag_msg` behind four bytes
/// (`include/uapi/linux/inet_diag.h`). It is big-endian there, as this filter reads.
const LOCAL_PORT: u32 = 16 + 4;

/// Datagrams read before others get a turn on the thread.
const TURN: usize = 64;

/// The subscription. Its descriptor is readable when a connection on the port has ended.
#[derive(Debug)]
pub struct ClosedConnections {
    socket: NetlinkSocket,
    port: u16,
}

impl ClosedConnections {
    /// Subscribes for this network namespace and local port `port`. The kernel wakes nobody for other ports.
    ///
    /// # Errors
    /// Where the kernel does not announce them.
    pub fn subscribe(port: u16) -> io::Result<Self> {
        let socket = NetlinkSocket::open(NETLINK_SOCK_DIAG)?;
        SockRef::from(&socket).attach_filter(&only(port))?;
        for group in GROUPS {
            socket.join(group)?;
        }
        socket.set_non_blocking()?;
        Ok(Self { socket, port })
    }

    /// Reads what there is, at most 64 datagrams, and does not wait. What the kernel could not announce for want of room
    /// is lost, and logged.
    ///
    /// # Errors
    /// `WouldBlock` where there is nothing. Any other error is the socket's own.
    pub fn hear(&mut self) -> io::Result<Vec<Connection>> {
        let mut closed = Vec::new();
        for turn in 0..TURN {
            match self.socket.receive() {
                Ok(Received::Datagram(bytes)) => {
                    let seen = frames(bytes).filter_map(|frame| Connection::of(message(&frame.ok()?)?));
                    closed.extend(
                        seen.filter(|closed| closed.local.port() == self.port && closed.peer.port() != 0),
                    );
                }
                Ok(Received::Overrun) => {
                    tracing::debug!("too many connections closed at once; some are not counted")
                }
                Ok(Received::Truncated | Received::Spoofed) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if turn == 0 => return Err(error),
                Err(_next_time) => break,
            }
        }
        Ok(closed)
    }
}

impl AsRawFd for ClosedConnections {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// A classic BPF filter that keeps what is about this local port (`include/uapi/linux/bpf_common.h`).
fn only(port: u16) -> [SockFilter; 4] {
    const LOAD_HALF: u16 = 0x28; // BPF_LD | BPF_H | BPF_ABS
    const EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    [
        SockFilter::new(LOAD_HALF, 0, 0, LOCAL_PORT),
        SockFilter::new(EQUAL, 0, 1, u32::from(port)),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;

    /// What is announced next. The kernel does it from a queue of work.
    fn heard(closed: &mut ClosedConnections) -> Vec<Connection> {
        for _ in 0..500 {
            match closed.hear() {
                Ok(connections) => return connections,
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("nothing is announced");
    }

    #[test]
    fn each_connection_is_announced_once_whoever_closes_first() {
        let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut closed = ClosedConnections::subscribe(port).unwrap();
        for (ip, peer_first) in [
            (Ipv4Addr::LOCALHOST.into(), true),
            (Ipv4Addr::LOCALHOST.into(), false),
            (Ipv6Addr::LOCALHOST.into(), true),
        ] {
            let peer = TcpStream::connect(SocketAddr::new(ip, port)).unwrap();
            let (accepted, from) = listener.accept().unwrap();
            let from = SocketAddr::new(from.ip().to_canonical(), from.port());
            let expected = Connection { local: peer.peer_addr().unwrap(), peer: from };
            assert!(closed.hear().is_err(), "it is open");
            if peer_first {
                drop(peer);
                drop(accepted);
            } else {
                drop(accepted);
                drop(peer);
            }
            assert_eq!(heard(&mut closed), [expected], "{ip} {peer_first}");
        }
    }

    #[test]
    fn listeners_and_other_ports_are_none_of_them() {
        let listeners = [0; 2].map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap());
        let [port, other] = [0, 1].map(|which| listeners[which].local_addr().unwrap().port());
        let mut closed = ClosedConnections::subscribe(port).unwrap();
        let connect = |listener: &TcpListener, port| {
            let peer = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
            drop(listener.accept().unwrap());
            peer.local_addr().unwrap()
        };
        let [listener, elsewhere] = listeners;
        connect(&elsewhere, other);
        let second = listener.try_clone().unwrap();
        let peer = connect(&listener, port);
        assert_eq!(heard(&mut closed).iter().map(|closed| closed.peer).collect::<Vec<_>>(), [peer]);
        drop((listener, second));
        std::thread::sleep(Duration::from_millis(200));
        assert!(closed.hear().map_or(true, |connections| connections.is_empty()));
    }
}
