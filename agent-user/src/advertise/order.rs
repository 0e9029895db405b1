//! The order of an API's addresses: RFC 6724, section 6, then numeric, so that every start gives the same.

use std::cmp::{Ordering, Reverse};
use std::net::{IpAddr, Ipv6Addr};

/// Sorts `destinations`, most preferred first. `key` gives an item's destination address and the source address
/// towards it; without a source an address is unusable and goes last (rule 1).
pub fn sort<T>(destinations: &mut [T], key: impl Fn(&T) -> (IpAddr, Option<IpAddr>)) {
    destinations.sort_by(|one, other| compare(key(one), key(other)));
}

fn compare(one: (IpAddr, Option<IpAddr>), other: (IpAddr, Option<IpAddr>)) -> Ordering {
    let rank = |(destination, source): (IpAddr, Option<IpAddr>)| {
        let (precedence, label) = policy(destination);
        (
            source.is_none(), // Rule 1: avoid unusable destinations.
            source.is_some_and(|source| scope(source) != scope(destination)), // Rule 2: prefer a matching scope.
            source.is_some_and(|source| policy(source).1 != label), // Rule 5: prefer a matching label.
            Reverse(precedence),                                    // Rule 6: prefer higher precedence.
            scope(destination),                                     // Rule 8: prefer smaller scope.
            Reverse(common_prefix(destination, source)),            // Rule 9: the longest matching prefix.
            destination,                                            // Rule 10 would keep DNS's order.
        )
    };
    rank(one).cmp(&rank(other))
}

fn as_v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

/// Precedence and label (RFC 6724, 2.1).
fn policy(ip: IpAddr) -> (u8, u8) {
    let segments = as_v6(ip).segments();
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 1] => (50, 0),
        [0, 0, 0, 0, 0, 0xffff, ..] => (35, 4),
        [0, 0, 0, 0, 0, 0, ..] => (1, 3),
        [0x2002, ..] => (30, 2),
        [0x2001, 0, ..] => (5, 5),
        [first, ..] if first & 0xfe00 == 0xfc00 => (3, 13),
        [first, ..] if first & 0xffc0 == 0xfec0 => (1, 11),
        [0x3ffe, ..] => (1, 12),
        _ => (40, 1),
    }
}

/// The scope value of multicast addresses, used for unicast too (RFC 6724, 3.1 and 3.2).
fn scope(ip: IpAddr) -> u8 {
    const LINK: u8 = 2;
    const SITE: u8 = 5;
    const GLOBAL: u8 = 14;
    match ip.to_canonical() {
        IpAddr::V4(ip) if ip.is_loopback() || ip.is_link_local() => LINK,
        IpAddr::V4(_) => GLOBAL,
        IpAddr::V6(ip) if ip.is_multicast() => ip.octets()[1] & 0xf,
        IpAddr::V6(ip) if ip.is_loopback() || ip.is_unicast_link_local() => LINK,
        IpAddr::V6(ip) if ip.segments()[0] & 0xffc0 == 0xfec0 => SITE,
        IpAddr::V6(_) => GLOBAL,
    }
}

/// Leading bits in common, IPv6 only: for IPv4 the rule tells nothing about distance, and many leave it out.
fn common_prefix(destination: IpAddr, source: Option<IpAddr>) -> u32 {
    match (destination, source) {
        // Not past the subnet prefix of the source (RFC 6724, 2.2); longer says nothing.
        (IpAddr::V6(one), Some(IpAddr::V6(other))) => {
            (one.to_bits() ^ other.to_bits()).leading_zeros().min(64)
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn sorted(pairs: &[(&str, Option<&str>)]) -> Vec<String> {
        let mut all: Vec<_> = pairs.iter().map(|(d, s)| (ip(d), s.map(ip))).collect();
        sort(&mut all, |pair| *pair);
        all.into_iter().map(|(destination, _)| destination.to_string()).collect()
    }

    #[test]
    fn the_examples_of_the_rfc() {
        // RFC 6724, 10.2, with its source addresses.
        let global = Some("2001:db8:1::2");
        assert_eq!(
            sorted(&[("198.51.100.121", Some("198.51.100.117")), ("2001:db8:1::1", global)])[0],
            "2001:db8:1::1"
        );
        assert_eq!(
            sorted(&[("2001:db8:1::1", Some("fe80::1")), ("198.51.100.121", Some("198.51.100.117"))])[0],
            "198.51.100.121"
        );
        assert_eq!(sorted(&[("2001:db8:1::1", global), ("10.1.2.3", Some("10.1.2.4"))])[0], "2001:db8:1::1");
        assert_eq!(sorted(&[("2001:db8:1::1", global), ("fe80::1", Some("fe80::2"))])[0], "fe80::1");
        assert_eq!(
            sorted(&[
                ("2002:c633:6401::1", Some("2002:c633:6401::2")),
                ("2001:db8:1::1", Some("2002:c633:6401::2"))
            ])[0],
            "2002:c633:6401::1"
        );
        assert_eq!(
            sorted(&[("2002:c633:6401::1", Some("2002:c633:6401::2")), ("2001:db8:1::1", global)])[0],
            "2001:db8:1::1"
        );
    }

    #[test]
    fn a_private_network_prefers_ipv4_and_the_unroutable_goes_last() {
        let ula = ("fd00::1", Some("fd00::2"));
        assert_eq!(sorted(&[ula, ("10.0.0.1", Some("10.0.0.2"))]), ["10.0.0.1", "fd00::1"]);
        assert_eq!(sorted(&[("10.0.0.1", None), ula]), ["fd00::1", "10.0.0.1"]);
    }

    proptest! {
        #[test]
        fn dns_order_does_not_matter(bits in proptest::collection::vec((any::<u128>(), any::<bool>(), any::<Option<u128>>()), 0..6)) {
            let address = |bits: u128, v4: bool| -> IpAddr {
                if v4 { std::net::Ipv4Addr::from_bits(bits as u32).into() } else { Ipv6Addr::from_bits(bits).into() }
            };
            let mut one: Vec<_> = bits.iter().map(|(d, v4, s)| (address(*d, *v4), s.map(|s| address(s, *v4)))).collect();
            one.dedup_by_key(|pair| pair.0);
            let mut other: Vec<_> = one.iter().copied().rev().collect();
            sort(&mut one, |pair| *pair);
            sort(&mut other, |pair| *pair);
            let addresses = |all: &[(IpAddr, Option<IpAddr>)]| all.iter().map(|pair| pair.0).collect::<Vec<_>>();
            prop_assert_eq!(addresses(&one), addresses(&other));
        }
    }
}
