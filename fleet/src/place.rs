//! Which addresses no node of the fleet can have: neither the relay nor Prometheus is sent there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

/// Nobody listens there: it is only asked how a packet would go (RFC 863).
const DISCARD: u16 = 9;

/// Never asked, whatever is allowed: loopback, link-local, multicast, unspecified. The addresses that IPv6 has for IPv4 ones
/// (mapped, compatible, 6to4, NAT64) are looked into.
pub fn is_forbidden(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            let is_this_network = ip.octets().first() == Some(&0); // RFC 1122, 3.2.1.3
            is_this_network
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_multicast()
                || ip.is_broadcast()
        }
        IpAddr::V6(ip) => {
            let of_v6 =
                ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || ip.is_unicast_link_local();
            of_v6 || embedded(ip.to_bits()).is_some_and(is_forbidden)
        }
    }
}

/// IPv4-compatible (RFC 4291, 2.5.5.1), 6to4 (RFC 3056, 2) and NAT64 (RFC 6052, 2.1).
fn embedded(bits: u128) -> Option<IpAddr> {
    let low =
        |shift: u32| IpAddr::V4(u32::try_from((bits >> shift) & 0xffff_ffff).unwrap_or_default().into());
    match bits {
        _ if bits >> 32 == 0 || bits >> 32 == 0x64_ff9b << 64 => Some(low(0)),
        _ if bits >> 112 == 0x2002 => Some(low(80)),
        _ => None,
    }
}

/// Whether it is one of this machine's: the kernel would go there from the address itself. No packet is sent. (A bind would
/// not tell: with `ip_nonlocal_bind`, as behind keepalived, it succeeds for any.)
pub fn is_own(address: IpAddr) -> bool {
    let any: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let source = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((address, DISCARD))?;
        socket.local_addr()
    });
    source.is_ok_and(|source| source.ip() == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_knows_its_own() {
        assert!(is_own(Ipv4Addr::LOCALHOST.into()) && !is_own([192, 0, 2, 1].into()));
    }
}
