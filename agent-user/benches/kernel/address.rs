//! Addresses that come and go without a process that makes them: the time before the kernel acts is known.

use std::net::Ipv4Addr;
use std::time::Instant;

use fib::{Kernel, NetlinkSocket};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use testbed::netns::Netns;

/// A namespace with a NIC `n0` that has carrier and no address, and no IPv6, whose duplicate address detection makes
/// events of its own.
pub fn one_nic() -> Netns {
    let netns = Netns::new().unwrap();
    for scope in ["all", "default"] {
        netns.sysctl(&format!("net/ipv6/conf/{scope}/disable_ipv6"), "1").unwrap();
    }
    netns.ip_lines("link add n0 type veth peer name n1\nlink set n0 up\nlink set n1 up").unwrap();
    netns
}

/// Changes addresses of one device; each is a /24.
pub struct Changer {
    socket: NetlinkSocket,
    device: u32,
}

impl Changer {
    pub fn new(netns: &Netns, device: &str) -> Self {
        netns
            .enter(|| {
                let mut kernel = Kernel::open().unwrap();
                let device = kernel.link_named(device).unwrap().index;
                Self { socket: NetlinkSocket::open(NETLINK_ROUTE).unwrap(), device }
            })
            .unwrap()
    }

    /// Gives the time before the kernel got the change. The change is made when this returns.
    pub fn add(&self, address: Ipv4Addr) -> Instant {
        self.tell(RouteNetlinkMessage::NewAddress(self.message(address)), NLM_F_CREATE)
    }

    /// As [`Changer::add`].
    pub fn delete(&self, address: Ipv4Addr) -> Instant {
        self.tell(RouteNetlinkMessage::DelAddress(self.message(address)), 0)
    }

    fn message(&self, address: Ipv4Addr) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.prefix_len = 24;
        message.header.index = self.device;
        message.attributes =
            vec![AddressAttribute::Local(address.into()), AddressAttribute::Address(address.into())];
        message
    }

    fn tell(&self, message: RouteNetlinkMessage, flags: u16) -> Instant {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        let before = Instant::now();
        self.socket.send(&bytes).unwrap();
        before
    }
}
