//! A router advertisement, as a router sends it.

use std::net::{Ipv6Addr, SocketAddrV6};

use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto, netdevice, sendto, socket, sockopt};
use testbed::netns::Netns;

/// Whom it is for: all nodes on the link (RFC 4291, 2.7.1).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Sends one on this device: a default router, and a prefix of 64 bits for addresses.
///
/// # Errors
/// Without the device, or where the kernel refuses.
pub fn advertise(netns: &Netns, device: &str, prefix: Ipv6Addr) -> std::io::Result<()> {
    netns.enter(|| {
        let socket = socket(AddressFamily::INET6, SocketType::RAW, Some(ipproto::ICMPV6))?;
        // RFC 4861, 6.1.2: one that came through a router is dropped.
        sockopt::set_ipv6_multicast_hops(&socket, 255)?;
        let scope = netdevice::name_to_index(&socket, device)?;
        let all = SocketAddrV6::new(ALL_NODES, 0, 0, scope);
        sendto(&socket, &message(prefix), SendFlags::empty(), &all)?;
        Ok(())
    })?
}

/// RFC 4861, 4.2 and 4.6.2; the kernel puts the checksum in (RFC 3542, 3.1).
fn message(prefix: Ipv6Addr) -> Vec<u8> {
    let mut message = vec![134, 0, 0, 0]; // Type, code, checksum.
    message.extend([64, 0]); // Hop limit, flags.
    message.extend(1800_u16.to_be_bytes()); // How long it is a default router, in seconds.
    message.extend([0; 8]); // Reachable time and retransmission timer: not specified.
    message.extend([3, 4, 64, 0xc0]); // Prefix information of 32 bytes: 64 bits, on link, for addresses.
    message.extend(3600_u32.to_be_bytes()); // Valid.
    message.extend(1800_u32.to_be_bytes()); // Preferred.
    message.extend([0; 4]);
    message.extend(prefix.octets());
    message
}
