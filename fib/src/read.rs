//! What an answer of rtnetlink says: routes, addresses, devices. Pure.

use std::net::IpAddr;

use crate::message::{Attribute, Damage, Message};
use crate::{Errno, RtnlError};

/// `RTM_NEWLINK`, `RTM_NEWADDR`, `RTM_NEWROUTE` (include/uapi/linux/rtnetlink.h).
const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;

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
    /// Somebody else has it.
    pub dad_failed: bool,
    /// Its preferred lifetime is over.
    pub deprecated: bool,
    /// A privacy address (RFC 8981).
    pub temporary: bool,
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
pub fn route(message: &Message, damage: &Damage) -> Option<Result<Route, RtnlError>> {
    const OIF: u16 = 4;
    const PREFSRC: u16 = 7;
    const TABLE: u16 = 15;
    if message.kind != NEW_ROUTE {
        return None;
    }
    // struct rtmsg (include/uapi/linux/rtnetlink.h): the type is its eighth byte.
    let (head, attributes) = message.split::<12>(damage)?;
    let [_, _, _, _, _, _, _, kind, ..] = *head;
    let mut route = Route { source: None, device: None, table: None };
    for attribute in attributes {
        match attribute.kind {
            OIF => route.device = attribute.number(),
            PREFSRC => route.source = attribute.ip(),
            TABLE => route.table = attribute.number(),
            _ => {}
        }
    }
    Some(match kind {
        // A TCP connect to them fails with ENETUNREACH (`tcp_v4_connect`, `tcp_v6_connect`): RTN_BROADCAST, RTN_MULTICAST.
        3 | 5 => Err(RtnlError::Refused(Errno::NETUNREACH)),
        // Older kernels answer IPv6 with the route that refuses, instead of its error: RTN_BLACKHOLE, RTN_UNREACHABLE,
        // RTN_PROHIBIT.
        6 => Err(RtnlError::Refused(Errno::INVAL)),
        7 if route.device.is_none() => Err(RtnlError::Refused(Errno::NETUNREACH)),
        7 => Err(RtnlError::Refused(Errno::HOSTUNREACH)),
        8 => Err(RtnlError::Refused(Errno::ACCES)),
        _ => Ok(route),
    })
}

/// An address; `None` for another message.
pub fn address(message: &Message, damage: &Damage) -> Option<Address> {
    const ADDRESS: u16 = 1;
    const LOCAL: u16 = 2;
    const FLAGS: u16 = 8;
    /// The flags (include/uapi/linux/if_addr.h).
    const TEMPORARY: u32 = 0x01;
    const OPTIMISTIC: u32 = 0x04;
    const DAD_FAILED: u32 = 0x08;
    const DEPRECATED: u32 = 0x20;
    const TENTATIVE: u32 = 0x40;
    /// `RT_SCOPE_LINK`.
    const LINK_SCOPE: u8 = 253;
    if message.kind != NEW_ADDRESS {
        return None;
    }
    // struct ifaddrmsg (include/uapi/linux/if_addr.h): family, prefix length, flags, scope, index.
    let (head, attributes) = message.split::<8>(damage)?;
    let [_, _, flags, scope, a, b, c, d] = *head;
    let mut flags = u32::from(flags);
    let (mut address, mut local) = (None, None);
    for attribute in attributes {
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
    let has = |flag: u32| flags & flag != 0;
    Some(Address {
        ip,
        device: u32::from_ne_bytes([a, b, c, d]),
        link_scope: scope == LINK_SCOPE,
        tentative: has(TENTATIVE) && !has(OPTIMISTIC),
        dad_failed: has(DAD_FAILED),
        deprecated: has(DEPRECATED),
        // The same bit means "secondary" for IPv4 and "temporary" for IPv6.
        temporary: ip.is_ipv6() && has(TEMPORARY),
    })
}

/// A device; `None` for another message.
pub fn link(message: &Message, damage: &Damage) -> Option<Link> {
    /// Attributes (include/uapi/linux/if_link.h).
    const ADDRESS: u16 = 1;
    const NAME: u16 = 3;
    const INFO: u16 = 18;
    const INFO_KIND: u16 = 1;
    const PROPERTIES: u16 = 52;
    const ALTERNATIVE_NAME: u16 = 53;
    const PERMANENT_ADDRESS: u16 = 54;
    const PARENT_NAME: u16 = 56;
    /// Flags (include/uapi/linux/if.h).
    const UP: u32 = 0x1;
    const LOWER_UP: u32 = 0x1_0000;
    if message.kind != NEW_LINK {
        return None;
    }
    // struct ifinfomsg (include/uapi/linux/rtnetlink.h): family and type, index, flags, change.
    let (head, attributes) = message.split::<16>(damage)?;
    let [_, _, _, _, i, j, k, l, a, b, c, d, ..] = *head;
    let flags = u32::from_ne_bytes([a, b, c, d]);
    let mut link = Link {
        index: u32::from_ne_bytes([i, j, k, l]),
        name: Vec::new(),
        alternative_names: Vec::new(),
        up: flags & UP != 0,
        carrier: flags & LOWER_UP != 0,
        mac: None,
        permanent_mac: None,
        kind: None,
        parent: None,
    };
    let text = |attribute: Attribute<'_>| attribute.name().map(|name| shown(&name));
    for attribute in attributes {
        match attribute.kind {
            NAME => link.name = attribute.name().unwrap_or_default(),
            ADDRESS => link.mac = attribute.mac(),
            PERMANENT_ADDRESS => link.permanent_mac = attribute.mac(),
            PARENT_NAME => link.parent = text(attribute),
            INFO => link.kind = attribute.nested().find(|one| one.kind == INFO_KIND).and_then(text),
            PROPERTIES => {
                let names = attribute.nested().filter(|one| one.kind == ALTERNATIVE_NAME);
                link.alternative_names = names.filter_map(Attribute::name).collect();
            }
            _ => {}
        }
    }
    Some(link)
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
