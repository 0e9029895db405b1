//! What an answer of rtnetlink says: routes, addresses, devices. Pure.

use std::net::IpAddr;

use netlink_packet_route::address::{AddressFlags, AddressHeader, AddressScope};
use netlink_packet_route::link::{LinkFlags, LinkHeader};
use netlink_packet_route::route::{RouteHeader, RouteType};

use crate::frames::Frame;
use crate::message::{Attribute, Damage, attributes};
use crate::{Errno, RtnlError};

/// `RTM_NEWLINK`, `RTM_NEWADDR`, `RTM_DELADDR`, `RTM_NEWROUTE` (include/uapi/linux/rtnetlink.h).
const NEW_LINK: u16 = 16;
pub(crate) const NEW_ADDRESS: u16 = 20;
pub(crate) const DELETED_ADDRESS: u16 = 21;
const NEW_ROUTE: u16 = 24;

/// Lengths of `struct ifinfomsg`, `struct ifaddrmsg`, `struct rtmsg` (include/uapi/linux/rtnetlink.h and if_addr.h).
const LINK_HEADER: usize = 16;
const ADDRESS_HEADER: usize = 8;
const ROUTE_HEADER: usize = 12;

/// The kernel's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The preferred source.
    pub source: Option<IpAddr>,
    /// Index of the outgoing device.
    pub device: Option<u32>,
    /// The table that had the route; 0 or `None` where no table had one and the kernel assumes the destination on
    /// the link of the device that was asked for.
    pub table: Option<u32>,
}

/// An address that is assigned here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// Index of its device.
    pub device: u32,
    /// Valid on this link only.
    pub link_scope: bool,
    /// Duplicate address detection has not ended, and it may not be used meanwhile (RFC 4862; RFC 4429 allows an
    /// optimistic one).
    pub tentative: bool,
    /// Another host has it.
    pub dad_failed: bool,
    /// Its preferred lifetime is over.
    pub deprecated: bool,
    /// A privacy address (RFC 8981).
    pub temporary: bool,
}

/// An address and what tells it from others of the same digits: IPv4 has one with several masks, or with several peers, on
/// one device (`__inet_insert_ifa`, net/ipv4/devinet.c).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assignment {
    /// The address.
    pub address: Address,
    prefix: u8,
    peer: Option<IpAddr>,
}

impl Assignment {
    /// Whether both are the same one, perhaps with other flags. IPv6 has an address once on a device
    /// (`ipv6_add_addr`, net/ipv6/addrconf.c).
    pub fn is(&self, other: &Self) -> bool {
        let same = (self.address.ip, self.address.device) == (other.address.ip, other.address.device);
        same && (self.address.ip.is_ipv6() || (self.prefix, self.peer) == (other.prefix, other.peer))
    }
}

/// An announcement about an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressChange {
    /// It has come, or its flags are others than before.
    There(Assignment),
    /// It has gone.
    Gone(Assignment),
}

/// A device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its index.
    pub index: u32,
    /// Its name: any bytes but blanks, `/` and `:` (`dev_valid_name`, net/core/dev.c).
    pub name: Vec<u8>,
    /// Its other names (5.5 and newer).
    pub alternative_names: Vec<Vec<u8>>,
    /// Administratively up (`IFF_UP`).
    pub up: bool,
    /// Carrier is there (`IFF_LOWER_UP`).
    pub carrier: bool,
    /// The hardware address in use.
    pub mac: Option<[u8; 6]>,
    /// The hardware address that the NIC was made with, where the driver tells (5.6 and newer).
    pub permanent_mac: Option<[u8; 6]>,
    /// `bond`, `vlan`, ...: the kind of a device made by software.
    pub kind: Option<String>,
    /// The bus device behind it, as under `/sys/class/net/NAME/device` (5.14 and newer).
    pub parent: Option<String>,
}

impl Link {
    /// The name as it may be shown: escape sequences and what is no UTF-8 are escaped.
    pub fn shown(&self) -> String {
        shown(&self.name)
    }

    /// Whether it has this name, or this alternative name.
    pub fn is_named(&self, name: &str) -> bool {
        std::iter::once(&self.name).chain(&self.alternative_names).any(|one| one == name.as_bytes())
    }
}

/// The most characters of a name that are shown: an alias can be longer than a line.
const SHOWN: usize = 120;

/// Bytes that are no UTF-8 as `\\xff`, control and direction characters escaped, cut where it is long.
fn shown(name: &[u8]) -> String {
    let mut text = String::new();
    for chunk in name.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars().take(SHOWN) {
        match character {
            '\'' | '"' | '\\' => shown.push(character),
            other => shown.extend(other.escape_debug()),
        }
    }
    if text.chars().nth(SHOWN).is_some() {
        shown.push_str("...");
    }
    shown
}

/// A route, or the error of one that refuses; `None` for another message.
pub fn route(frame: &Frame<'_>, damage: &Damage) -> Option<Result<Route, RtnlError>> {
    /// Attributes (include/uapi/linux/rtnetlink.h).
    const OIF: u16 = 4;
    const PREFSRC: u16 = 7;
    const TABLE: u16 = 15;
    let body = body(frame, NEW_ROUTE)?;
    let header = damage.or_count(RouteHeader::parse(body).ok())?;
    let mut route = Route { source: None, device: None, table: None };
    for attribute in attributes(body.get(ROUTE_HEADER..)?, damage) {
        match attribute.kind {
            OIF => route.device = attribute.number(),
            PREFSRC => route.source = attribute.ip(),
            TABLE => route.table = attribute.number(),
            _ => {}
        }
    }
    Some(match header.kind {
        // A TCP connect to them fails with ENETUNREACH (`tcp_v4_connect`, `tcp_v6_connect`).
        RouteType::Broadcast | RouteType::Multicast => Err(RtnlError::Refused(Errno::NETUNREACH)),
        // Older kernels answer IPv6 with the route that refuses, instead of its error.
        RouteType::BlackHole => Err(RtnlError::Refused(Errno::INVAL)),
        RouteType::Unreachable if route.device.is_none() => Err(RtnlError::Refused(Errno::NETUNREACH)),
        RouteType::Unreachable => Err(RtnlError::Refused(Errno::HOSTUNREACH)),
        RouteType::Prohibit => Err(RtnlError::Refused(Errno::ACCES)),
        _ => Ok(route),
    })
}

/// An address of an answer; `None` for another message.
pub fn address(frame: &Frame<'_>, damage: &Damage) -> Option<Assignment> {
    assignment(body(frame, NEW_ADDRESS)?, damage)
}

/// An announcement about an address; `None` for another message, and for one that cannot be read.
pub fn address_change(frame: &Frame<'_>, damage: &Damage) -> Option<AddressChange> {
    match frame.kind {
        NEW_ADDRESS => assignment(frame.payload(), damage).map(AddressChange::There),
        DELETED_ADDRESS => assignment(frame.payload(), damage).map(AddressChange::Gone),
        _ => None,
    }
}

fn assignment(body: &[u8], damage: &Damage) -> Option<Assignment> {
    /// Attributes (include/uapi/linux/if_addr.h).
    const ADDRESS: u16 = 1;
    const LOCAL: u16 = 2;
    const FLAGS: u16 = 8;
    let header = damage.or_count(AddressHeader::parse(body).ok())?;
    let mut flags = u32::from(header.flags.bits());
    let (mut address, mut local) = (None, None);
    for attribute in attributes(body.get(ADDRESS_HEADER..)?, damage) {
        match attribute.kind {
            ADDRESS => address = attribute.ip(),
            // On point-to-point devices Address is the peer's and Local is ours.
            LOCAL => local = Some(attribute.ip()),
            FLAGS => flags = attribute.number().unwrap_or(flags),
            _ => {}
        }
    }
    // Where ours is there and cannot be read, the peer's must not stand for it.
    let ip = local.unwrap_or(address)?;
    let has = |flag: AddressFlags| AddressFlags::from_bits_retain(flags).contains(flag);
    let address_here = Address {
        ip,
        device: header.index,
        link_scope: header.scope == AddressScope::Link,
        tentative: has(AddressFlags::Tentative) && !has(AddressFlags::Optimistic),
        dad_failed: has(AddressFlags::Dadfailed),
        deprecated: has(AddressFlags::Deprecated),
        // The same bit means "secondary" for IPv4 and "temporary" for IPv6.
        temporary: ip.is_ipv6() && has(AddressFlags::Secondary),
    };
    Some(Assignment { address: address_here, prefix: header.prefix_len, peer: address })
}

/// A device; `None` for another message.
pub fn link(frame: &Frame<'_>, damage: &Damage) -> Option<Link> {
    /// Attributes (include/uapi/linux/if_link.h).
    const ADDRESS: u16 = 1;
    const NAME: u16 = 3;
    const INFO: u16 = 18;
    const INFO_KIND: u16 = 1;
    const PROPERTIES: u16 = 52;
    const ALTERNATIVE_NAME: u16 = 53;
    const PERMANENT_ADDRESS: u16 = 54;
    const PARENT_NAME: u16 = 56;
    let body = body(frame, NEW_LINK)?;
    let header = damage.or_count(LinkHeader::parse(body).ok())?;
    let mut link = Link {
        index: header.index,
        name: Vec::new(),
        alternative_names: Vec::new(),
        up: header.flags.contains(LinkFlags::Up),
        carrier: header.flags.contains(LinkFlags::LowerUp),
        mac: None,
        permanent_mac: None,
        kind: None,
        parent: None,
    };
    let text = |attribute: Attribute<'_>| attribute.name().map(shown);
    for attribute in attributes(body.get(LINK_HEADER..)?, damage) {
        match attribute.kind {
            NAME => link.name = attribute.name().unwrap_or_default().to_vec(),
            ADDRESS => link.mac = attribute.mac(),
            PERMANENT_ADDRESS => link.permanent_mac = attribute.mac(),
            PARENT_NAME => link.parent = text(attribute),
            INFO => link.kind = attribute.nested().find(|one| one.kind == INFO_KIND).and_then(text),
            PROPERTIES => {
                let names = attribute.nested().filter(|one| one.kind == ALTERNATIVE_NAME);
                link.alternative_names = names.filter_map(|one| one.name().map(<[u8]>::to_vec)).collect();
            }
            _ => {}
        }
    }
    Some(link)
}

/// What a message of this type holds; `None` for one of another type.
fn body<'a>(frame: &Frame<'a>, kind: u16) -> Option<&'a [u8]> {
    (frame.kind == kind).then(|| frame.payload())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_shown_without_what_a_terminal_would_act_on() {
        assert_eq!(shown(b"eth0.77"), "eth0.77");
        assert_eq!(shown(b"a\x1b[31m'\"\\\xff"), "a\\u{1b}[31m'\"\\\\xff");
        assert_eq!(shown("\u{202e}x".as_bytes()), "\\u{202e}x");
        assert_eq!(shown(&[b'y'; 200]), format!("{}...", "y".repeat(SHOWN)));
    }
}
