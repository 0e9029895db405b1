//! Questions to the kernel, each answered before the call returns: what it would route, which addresses and links it
//! has.

use std::net::IpAddr;

use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use text::{labels, printable};

use crate::question::{Extent, QuestionSocket, Seen};
use crate::{Errno, RtnlError};

/// `IPPROTO_TCP` (`include/uapi/linux/in.h`).
const TCP: u8 = 6;

/// The question that a TCP connect of root's would ask the FIB.
#[derive(Debug, Clone, Copy)]
pub struct RouteQuestion {
    /// Where to.
    pub destination: IpAddr,
    /// Which TCP port there.
    pub port: u16,
    /// From this address; `None` lets the kernel choose.
    pub source: Option<IpAddr>,
    /// Out of the device with this index; `None` lets the kernel choose.
    pub device: Option<u32>,
}

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
    /// Its name.
    pub name: String,
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
    /// The name as it may be shown: the kernel takes any bytes but blanks, `/` and `:` in one, escape sequences too.
    pub fn shown(&self) -> String {
        printable(&self.name)
    }
}

labels! {
    /// What a question is about: the label `query` of `netlink_queries_total`.
    pub enum Subject {
        /// A route.
        Route = "route",
        /// Addresses.
        Address = "address",
        /// Devices.
        Link = "link",
    }
}

/// How many questions were asked: answered ones and others, by subject.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked([(u64, u64); Subject::ALL.len()]);

impl Asked {
    /// By subject: how many were answered, and how many were not.
    pub fn counts(&self) -> impl Iterator<Item = (Subject, u64, u64)> {
        Subject::ALL.into_iter().zip(self.0).map(|(subject, (answered, failed))| (subject, answered, failed))
    }

    fn count(&mut self, subject: Subject, answered: bool) {
        for (known, (yes, no)) in Subject::ALL.into_iter().zip(&mut self.0) {
            *yes += u64::from(known == subject && answered);
            *no += u64::from(known == subject && !answered);
        }
    }
}

/// The question socket.
#[derive(Debug)]
pub struct Kernel {
    socket: QuestionSocket,
    asked: Asked,
}

impl Kernel {
    /// Opens the socket.
    ///
    /// # Errors
    /// Where the kernel has no netlink.
    pub fn open() -> Result<Self, RtnlError> {
        Ok(Self { socket: QuestionSocket::open(NETLINK_ROUTE)?, asked: Asked::default() })
    }

    /// How many questions were asked since the last time.
    pub fn take_asked(&mut self) -> Asked {
        std::mem::take(&mut self.asked)
    }

    /// Asks which way a TCP connection would take (RTM_GETROUTE with uid 0, protocol and port, so that rules by uid
    /// and port count).
    ///
    /// # Errors
    /// `Refused` carries what a connect would fail with.
    pub fn route(&mut self, question: &RouteQuestion) -> Result<Route, RtnlError> {
        let mut message = RouteMessage::default();
        let full = if question.destination.is_ipv4() { 32 } else { 128 };
        message.header.address_family = family(question.destination);
        message.header.destination_prefix_length = full;
        if question.destination.is_ipv4() {
            // Without it IPv4 reports table main, whichever it was. IPv6 always tells, and refuses the flag.
            message.header.flags = RouteFlags::LookupTable;
        }
        message.attributes = vec![
            RouteAttribute::Destination(route_address(question.destination)),
            RouteAttribute::Uid(0),
            RouteAttribute::IpProto(TCP),
            RouteAttribute::Dport(question.port),
        ];
        if let Some(source) = question.source {
            message.header.source_prefix_length = full;
            message.attributes.push(RouteAttribute::Source(route_address(source)));
        }
        message.attributes.extend(question.device.map(RouteAttribute::Oif));
        let answer =
            self.socket.ask(RouteNetlinkMessage::GetRoute(message), Extent::One, |message| match message {
                RouteNetlinkMessage::NewRoute(route) => Some(route),
                _ => None,
            });
        let answer = answer.and_then(|mut routes| routes.pop().ok_or_else(no_answer)).and_then(read_route);
        self.asked.count(Subject::Route, answer.is_ok());
        answer
    }

    /// The addresses of one family, of one device or of all.
    ///
    /// # Errors
    /// Where the dump fails, or changes overtake it at every try.
    pub fn addresses(&mut self, ipv4: bool, device: Option<u32>) -> Result<Vec<Address>, RtnlError> {
        let seen = self.addresses_seen(ipv4, device)?;
        if seen.complete { Ok(seen.found) } else { Err(RtnlError::Interrupted) }
    }

    /// The same for who can do with a part: with thousands of addresses that come and go no dump is consistent.
    ///
    /// # Errors
    /// Where the dump fails.
    pub fn addresses_seen(&mut self, ipv4: bool, device: Option<u32>) -> Result<Seen<Address>, RtnlError> {
        let mut message = AddressMessage::default();
        message.header.family = if ipv4 { AddressFamily::Inet } else { AddressFamily::Inet6 };
        message.header.index = device.unwrap_or(0);
        let answer =
            self.socket.see(
                RouteNetlinkMessage::GetAddress(message),
                Extent::Dump,
                |message| match message {
                    RouteNetlinkMessage::NewAddress(address) => read_address(&address),
                    _ => None,
                },
            );
        let complete = answer.as_ref().is_ok_and(|seen| seen.complete);
        self.asked.count(Subject::Address, complete);
        // Kernels without strict checking (before 5.0) ignore the filter.
        answer.map(|mut seen| {
            seen.found.retain(|address| device.is_none_or(|device| device == address.device));
            seen
        })
    }

    /// The device with this index.
    ///
    /// # Errors
    /// `Refused(ENODEV)` where there is none.
    pub fn link(&mut self, index: u32) -> Result<Link, RtnlError> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        self.one_link(message)
    }

    /// The device with this name.
    ///
    /// # Errors
    /// `Refused(ENODEV)` where there is none.
    pub fn link_named(&mut self, name: &str) -> Result<Link, RtnlError> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        self.one_link(message)
    }

    /// Every device.
    ///
    /// # Errors
    /// Where the dump fails.
    pub fn links(&mut self) -> Result<Vec<Link>, RtnlError> {
        let question = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let answer = self.socket.ask(question, Extent::Dump, as_link);
        self.asked.count(Subject::Link, answer.is_ok());
        answer
    }

    fn one_link(&mut self, message: LinkMessage) -> Result<Link, RtnlError> {
        let answer = self.socket.ask(RouteNetlinkMessage::GetLink(message), Extent::One, as_link);
        let answer = answer.and_then(|mut links| links.pop().ok_or_else(no_answer));
        self.asked.count(Subject::Link, answer.is_ok());
        answer
    }
}

fn no_answer() -> RtnlError {
    RtnlError::Undecodable("the answer is of another kind than the question".to_owned())
}

fn family(ip: IpAddr) -> AddressFamily {
    if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn route_address(ip: IpAddr) -> RouteAddress {
    match ip {
        IpAddr::V4(ip) => RouteAddress::Inet(ip),
        IpAddr::V6(ip) => RouteAddress::Inet6(ip),
    }
}

pub(super) fn read_route(message: RouteMessage) -> Result<Route, RtnlError> {
    let mut route = Route { source: None, device: None, table: None };
    for attribute in message.attributes {
        match attribute {
            RouteAttribute::PrefSource(RouteAddress::Inet(ip)) => route.source = Some(ip.into()),
            RouteAttribute::PrefSource(RouteAddress::Inet6(ip)) => route.source = Some(ip.into()),
            RouteAttribute::Oif(index) => route.device = Some(index),
            RouteAttribute::Table(table) => route.table = Some(table),
            _ => {}
        }
    }
    // Older kernels answer IPv6 with the route that refuses, instead of its error.
    match message.header.kind {
        RouteType::BlackHole => Err(RtnlError::Refused(Errno::INVAL)),
        RouteType::Prohibit => Err(RtnlError::Refused(Errno::ACCES)),
        RouteType::Unreachable if route.device.is_none() => Err(RtnlError::Refused(Errno::NETUNREACH)),
        RouteType::Unreachable => Err(RtnlError::Refused(Errno::HOSTUNREACH)),
        _ => Ok(route),
    }
}

pub(super) fn read_address(message: &AddressMessage) -> Option<Address> {
    let mut flags = AddressFlags::from_bits_retain(u32::from(message.header.flags.bits()));
    let (mut address, mut local) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Address(ip) => address = Some(*ip),
            // On point-to-point devices Address is the peer's and Local is ours.
            AddressAttribute::Local(ip) => local = Some(*ip),
            AddressAttribute::Flags(all) => flags = *all,
            _ => {}
        }
    }
    let ip = local.or(address)?;
    Some(Address {
        ip,
        device: message.header.index,
        link_scope: matches!(message.header.scope, AddressScope::Link),
        tentative: flags.contains(AddressFlags::Tentative) && !flags.contains(AddressFlags::Optimistic),
        dad_failed: flags.contains(AddressFlags::Dadfailed),
        deprecated: flags.contains(AddressFlags::Deprecated),
        // The same bit means "secondary" for IPv4 and "temporary" for IPv6.
        temporary: ip.is_ipv6() && flags.contains(AddressFlags::Secondary),
    })
}

pub(super) fn as_link(message: RouteNetlinkMessage) -> Option<Link> {
    let RouteNetlinkMessage::NewLink(message) = message else {
        return None;
    };
    let flags = message.header.flags;
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        up: flags.contains(LinkFlags::Up),
        carrier: flags.contains(LinkFlags::LowerUp),
        mac: None,
        permanent_mac: None,
        kind: None,
        parent: None,
    };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::Address(bytes) => link.mac = bytes.try_into().ok(),
            LinkAttribute::PermAddress(bytes) => link.permanent_mac = bytes.try_into().ok(),
            LinkAttribute::ParentDevName(name) => link.parent = Some(name),
            LinkAttribute::LinkInfo(infos) => {
                link.kind = infos.into_iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(kind.to_string()),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    Some(link)
}
