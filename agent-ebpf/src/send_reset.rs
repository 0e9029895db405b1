//! tcp:tcp_send_reset (Linux 6.10 and newer, which tell it without a socket too): SYNs to the advertised port that are
//! answered with RST, because nothing listens.

use agent_ebpf::{Offset, kind};
use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;

use crate::{callback, kernel, output};

/// The flags of a TCP header (RFC 9293, section 3.1): their place, and the two that tell a first SYN.
const FLAGS: u64 = 13;
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// The program.
#[tracepoint(category = "tcp", name = "tcp_send_reset")]
pub fn send_reset(context: TracePointContext) -> u32 {
    let _ = try_send_reset(&context);
    0
}

#[inline(always)]
fn try_send_reset(context: &TracePointContext) -> Option<()> {
    let local = kernel::field_address(context, Offset::ResetLocal)?;
    let (family, port, address) = socket_address(local)?;
    if port != callback::PORT.load() {
        return None;
    }
    let packet: u64 = kernel::field(context, Offset::ResetPacket)?;
    let network_namespace = kernel::packet_namespace(packet)?;
    let header: u64 = kernel::member(packet, Offset::PacketData)?;
    let flags: u8 = kernel::read(header, FLAGS)?;
    if flags & (SYN | ACK) != SYN {
        return None;
    }
    let peer = kernel::field_address(context, Offset::ResetPeer)?;
    let (_, peer_port, peer_address) = socket_address(peer)?;
    output::submit(kind::CALLBACK_REFUSED, |event| {
        event.network_namespace = network_namespace;
        event.family = family;
        (event.local_port, event.local_address) = (port, address);
        (event.peer_port, event.peer_address) = (peer_port, peer_address);
        Some(())
    });
    Some(())
}

/// Family, port and address of a `struct sockaddr_in` or `sockaddr_in6` in the record.
#[inline(always)]
fn socket_address(address: u64) -> Option<(u16, u16, [u8; 16])> {
    let family: u16 = kernel::read(address, 0)?;
    let port = u16::from_be(kernel::read(address, 2)?);
    let ip = match family {
        kernel::AF_INET => kernel::mapped(kernel::read(address, 4)?),
        kernel::AF_INET6 => kernel::read(address, 8)?,
        _ => return None,
    };
    Some((family, port, ip))
}
