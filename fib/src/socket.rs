//! One AF_NETLINK socket of the family NETLINK_ROUTE or NETLINK_SOCK_DIAG.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use netlink_sys::{Socket, SocketAddr};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{RecvAncillaryBuffer, RecvFlags, ReturnFlags, recvmsg, sockopt};

/// Large enough for every datagram that the kernel composes: dumps come in parts of at most 32 KiB, rounded up.
const BUFFER: usize = 64 * 1024;

/// What one read brought.
#[derive(Debug)]
pub enum Received<'a> {
    /// A datagram from the kernel.
    Datagram(&'a [u8]),
    /// A datagram from the kernel that did not fit.
    Truncated,
    /// A datagram from another process: only the kernel has port id 0.
    Spoofed,
    /// The socket's buffer was full: messages were dropped (ENOBUFS).
    Overrun,
}

/// The socket and its one read buffer.
#[derive(Debug)]
pub struct NetlinkSocket {
    socket: Socket,
    buffer: Box<[u8]>,
}

impl NetlinkSocket {
    /// Opens and binds a socket of `protocol` (`NETLINK_ROUTE`, ...), with strict checking of questions where the
    /// kernel has it (5.0 and newer).
    ///
    /// # Errors
    /// Where the kernel has no such protocol or no descriptor is left.
    pub fn open(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        // Refused questions come back with the reason as text, and without the question's body (4.12 and newer).
        let options = socket.set_ext_ack(true).and(socket.set_cap_ack(true));
        if let Err(error) = options.and(socket.set_netlink_get_strict_chk(true)) {
            tracing::debug!(%error, "an older kernel: netlink questions are not checked strictly");
        }
        Ok(Self { socket, buffer: vec![0; BUFFER].into_boxed_slice() })
    }

    /// Joins a multicast group (`enum rtnetlink_groups`).
    ///
    /// # Errors
    /// Where this kernel has no such group.
    pub fn join(&self, group: u32) -> io::Result<()> {
        self.socket.add_membership(group)
    }

    /// Makes reads return `WouldBlock` instead of waiting.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn set_non_blocking(&self) -> io::Result<()> {
        self.socket.set_non_blocking(true)
    }

    /// Bounds the time of a blocking read.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn set_read_timeout(&self, timeout: std::time::Duration) -> io::Result<()> {
        Ok(sockopt::set_socket_timeout(&self.socket, sockopt::Timeout::Recv, Some(timeout))?)
    }

    /// Asks for a receive buffer of so many bytes: beyond the system's limit where we may (CAP_NET_ADMIN), else up
    /// to it.
    ///
    /// # Errors
    /// Where the kernel refuses both.
    pub fn set_receive_buffer(&self, bytes: usize) -> io::Result<()> {
        sockopt::set_socket_recv_buffer_size_force(&self.socket, bytes)
            .or_else(|_| sockopt::set_socket_recv_buffer_size(&self.socket, bytes))?;
        Ok(())
    }

    /// Sends one message to the kernel.
    ///
    /// # Errors
    /// Of the socket.
    pub fn send(&self, message: &[u8]) -> io::Result<()> {
        self.socket.send_to(message, &SocketAddr::new(0, 0), 0).map(drop)
    }

    /// Reads one datagram.
    ///
    /// # Errors
    /// Of the socket, `WouldBlock` included; an overrun is no error.
    pub fn receive(&mut self) -> io::Result<Received<'_>> {
        let mut ancillary = RecvAncillaryBuffer::default();
        let mut slices = [IoSliceMut::new(&mut self.buffer)];
        let message = match recvmsg(&self.socket, &mut slices, &mut ancillary, RecvFlags::empty()) {
            Ok(message) => message,
            Err(rustix::io::Errno::NOBUFS) => return Ok(Received::Overrun),
            Err(error) => return Err(error.into()),
        };
        let sender = message.address.and_then(|address| SocketAddrNetlink::try_from(address).ok());
        if sender.is_none_or(|sender| sender.pid() != 0) {
            return Ok(Received::Spoofed);
        }
        if message.flags.contains(ReturnFlags::TRUNC) {
            return Ok(Received::Truncated);
        }
        Ok(Received::Datagram(self.buffer.get(..message.bytes).unwrap_or_default()))
    }
}

impl AsRawFd for NetlinkSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for NetlinkSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
