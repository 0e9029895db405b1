//! tcp_send_reset (Linux 6.10 and newer, which tell it without a socket too): SYNs to the advertised port that are answered
//! with RST, because nothing listens.

use agent_ebpf::{Offset, kind};
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;

use crate::caller::Caller;
use crate::kernel::Typed;
use crate::output::{self, Side, What};
use crate::{callback, kernel};

/// The flags of a TCP header (RFC 9293, section 3.1): the two that tell a first SYN.
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
/// ETH_P_IP and ETH_P_IPV6 (include/uapi/linux/if_ether.h).
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

/// The start of a TCP header, in network byte order.
#[repr(C)]
#[derive(Clone, Copy)]
struct Header {
    peer_port: u16,
    local_port: u16,
    numbers: [u32; 2],
    length: u8,
    flags: u8,
}

/// The program: `(const struct sock *sk, const struct sk_buff *skb, const enum sk_rst_reason reason)`.
#[btf_tracepoint(function = "tcp_send_reset")]
pub fn callback_reset(context: BtfTracePointContext) -> i32 {
    let _ = reset(&context);
    0
}

#[inline(always)]
fn reset(context: &BtfTracePointContext) -> Option<()> {
    let packet = Typed::new(context.arg(1))?;
    // TCP has pulled the packet to its own header.
    let header: Header = kernel::read(packet.load(Offset::PacketData)?, 0)?;
    let port = u16::from_be(header.local_port);
    if port != callback::PORT.load() || header.flags & (SYN | ACK) != SYN {
        return None;
    }
    let network_namespace = kernel::packet_namespace(packet)?;
    let network =
        packet.load::<u64>(Offset::PacketHead)? + u64::from(packet.load::<u16>(Offset::PacketNetwork)?);
    let (from, to) = match u16::from_be(packet.load(Offset::PacketProtocol)?) {
        // `saddr` and `daddr` of struct iphdr, and of struct ipv6hdr.
        IPV4 => (kernel::mapped(kernel::read(network, 12)?), kernel::mapped(kernel::read(network, 16)?)),
        IPV6 => (kernel::read(network, 8)?, kernel::read(network, 24)?),
        _ => return None,
    };
    let what = What {
        kind: kind::CALLBACK_REFUSED,
        errno: 0,
        sureness: 0,
        started: 0,
        ended: output::now(),
        socket: 0,
        local: Side { address: to, port },
        peer: Side { address: from, port: u16::from_be(header.peer_port) },
    };
    output::submit(what, &Caller::nobody(network_namespace));
    Some(())
}
