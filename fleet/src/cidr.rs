//! Networks as operators write them, and lists of them. Pure.

use std::fmt;
use std::net::IpAddr;

use settings::value::Wanted;

/// The most networks of one list.
const MOST: usize = 256;

/// One network: an address and how many of its leading bits count (RFC 4632, RFC 4291 section 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    network: IpAddr,
    bits: u8,
}

impl Cidr {
    /// Reads `192.0.2.0/24`, `2001:db8::/32`, or a single address. Bits behind the prefix must be 0: they are a slip of
    /// the pen, and it is not known which network is meant.
    ///
    /// # Errors
    /// What would be right.
    pub fn parse(text: &str) -> Result<Self, Wanted> {
        let wanted = || Wanted::from("a network, like 192.0.2.0/24 or 2001:db8::/32");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let network: IpAddr = address.parse().map_err(|_| wanted())?;
        if network != network.to_canonical() {
            return Err("an IPv4 network in place of an IPv4-mapped one".into());
        }
        let width = width(network);
        let bits = match bits {
            None => width,
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                bits.parse().ok().filter(|bits| *bits <= width).ok_or_else(wanted)?
            }
            Some(_) => return Err(wanted()),
        };
        let start = start(network, bits);
        match start == network {
            true => Ok(Self { network, bits }),
            false => Err(format!("the address at which the network begins, {start}/{bits}").into()),
        }
    }

    /// Whether the address is inside. An IPv4-mapped address is its IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.network.is_ipv4() && start(address, self.bits) == self.network
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.bits)
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The first address of the network of so many bits around the address.
fn start(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

/// Networks that are allowed; an empty list allows none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cidrs(Vec<Cidr>);

impl Cidrs {
    /// Reads a comma list.
    ///
    /// # Errors
    /// What would be right for the first item that cannot be used.
    pub fn parse(text: &str) -> Result<Self, Wanted> {
        let networks: Vec<_> =
            text.split(',').map(|item| Cidr::parse(item.trim())).collect::<Result<_, _>>()?;
        match networks.len() {
            0..=MOST => Ok(Self(networks)),
            _ => Err(format!("at most {MOST} networks").into()),
        }
    }

    /// Whether one of them has the address inside.
    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Cidrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, network) in self.0.iter().enumerate() {
            write!(f, "{}{network}", if number > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn networks_hold_their_addresses_and_no_other() {
        for (network, inside, outside) in [
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::/0", "fe80::1", "192.0.2.1"),
            ("2001:db8::1/128", "2001:db8::1", "2001:db8::2"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.1.2.3"),
        ] {
            let network = Cidr::parse(network).unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{network} {inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{network} {outside}");
        }
        assert!(!Cidr::parse("::/0").unwrap().contains("::ffff:192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn what_is_no_network_is_refused_with_what_would_be_right() {
        for text in ["", "x", "192.0.2.0/33", "192.0.2.0/", "192.0.2.0/+8", "::/129", "192.0.2.0/24/1", "/8"]
        {
            assert!(Cidr::parse(text).is_err(), "{text}");
        }
        assert!(Cidr::parse("192.0.2.7/24").unwrap_err().contains("192.0.2.0/24"));
        assert!(Cidr::parse("::ffff:192.0.2.0/120").unwrap_err().contains("IPv4 network"));
    }

    #[test]
    fn lists() {
        let list = Cidrs::parse("192.0.2.0/24, 2001:db8::/32").unwrap();
        assert_eq!(list.to_string(), "192.0.2.0/24, 2001:db8::/32");
        assert!(list.contain("2001:db8::1".parse().unwrap()) && !list.contain("192.0.3.1".parse().unwrap()));
        assert!(Cidrs::parse("192.0.2.0/24,").is_err());
        assert!(Cidrs::parse(&vec!["192.0.2.1"; MOST + 1].join(",")).is_err());
        assert!(Cidrs::default().is_empty() && !Cidrs::default().contain("192.0.2.1".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn a_network_holds_what_shares_its_bits(address in any::<u32>(), other in any::<u32>(), bits in 0_u8..=32) {
            let network = Cidr { network: start(IpAddr::V4(address.into()), bits), bits };
            let shared = bits == 0 || (address ^ other) >> (32 - bits) == 0;
            prop_assert_eq!(network.contains(IpAddr::V4(other.into())), shared);
            prop_assert_eq!(Cidr::parse(&network.to_string()), Ok(network));
        }
    }
}
