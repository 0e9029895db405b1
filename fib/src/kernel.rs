//! Questions to the kernel, each answered before the call returns: what it would route, which addresses and links it
//! has.

use std::net::IpAddr;

use netlink_packet_core::DefaultNla;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteFlags, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;

use crate::RtnlError;
use crate::message::Damage;
use crate::question::{Extent, QuestionSocket, Seen};
use crate::read::{Address, Link, Route, address, link, route};

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

/// What a question is about: the label `query` of `netlink_queries_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// A route.
    Route,
    /// Addresses.
    Address,
    /// Devices.
    Link,
}

impl Subject {
    /// Every subject, in order.
    pub const ALL: [Self; 3] = [Self::Route, Self::Address, Self::Link];

    /// Every name, in the same order.
    pub const NAMES: [&'static str; 3] = ["route", "address", "link"];

    /// The name of the subject.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Address => "address",
            Self::Link => "link",
        }
    }
}

/// The longest name of a device (`IFNAMSIZ` without its zero, include/uapi/linux/if.h); a longer one is an alternative name.
const NAME: usize = 15;
/// `IFLA_ALT_IFNAME` (include/uapi/linux/if_link.h).
const ALTERNATIVE_NAME: u16 = 53;

/// How many questions were asked: answered ones and others, by subject.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    questions: [(u64, u64); Subject::ALL.len()],
    /// Parts of answers that could not be read.
    pub unreadable: u64,
}

impl Asked {
    /// By subject: how many were answered, and how many were not.
    pub fn counts(&self) -> impl Iterator<Item = (Subject, u64, u64)> {
        Subject::ALL
            .into_iter()
            .zip(self.questions)
            .map(|(subject, (answered, failed))| (subject, answered, failed))
    }

    fn count(&mut self, subject: Subject, answered: bool) {
        for (known, (yes, no)) in Subject::ALL.into_iter().zip(&mut self.questions) {
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
        let damage = Damage::default();
        let question = RouteNetlinkMessage::GetRoute(message);
        let answer = self.socket.ask(question, Extent::One, |message| route(&message, &damage));
        let answer =
            answer.and_then(|mut routes| routes.pop().ok_or_else(no_answer)).and_then(|answer| answer);
        self.count(Subject::Route, answer.is_ok(), &damage);
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
        let damage = Damage::default();
        let question = RouteNetlinkMessage::GetAddress(message);
        let answer = self.socket.see(question, Extent::Dump, |message| address(&message, &damage));
        self.count(Subject::Address, answer.as_ref().is_ok_and(|seen| seen.complete), &damage);
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

    /// The device with this name, or with this alternative name (5.5 and newer).
    ///
    /// # Errors
    /// `Refused(ENODEV)` where there is none.
    pub fn link_named(&mut self, name: &str) -> Result<Link, RtnlError> {
        let mut message = LinkMessage::default();
        // The kernel looks for both in either attribute; only their lengths differ (`rtnl_dev_get`, net/core/rtnetlink.c).
        message.attributes.push(match name.len() {
            0..=NAME => LinkAttribute::IfName(name.to_owned()),
            _ => LinkAttribute::Other(DefaultNla::new(ALTERNATIVE_NAME, [name.as_bytes(), &[0]].concat())),
        });
        self.one_link(message)
    }

    /// Every device.
    ///
    /// # Errors
    /// Where the dump fails.
    pub fn links(&mut self) -> Result<Vec<Link>, RtnlError> {
        let question = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let damage = Damage::default();
        let answer = self.socket.ask(question, Extent::Dump, |message| link(&message, &damage));
        self.count(Subject::Link, answer.is_ok(), &damage);
        answer
    }

    fn one_link(&mut self, message: LinkMessage) -> Result<Link, RtnlError> {
        let damage = Damage::default();
        let question = RouteNetlinkMessage::GetLink(message);
        let answer = self.socket.ask(question, Extent::One, |message| link(&message, &damage));
        let answer = answer.and_then(|mut links| links.pop().ok_or_else(no_answer));
        self.count(Subject::Link, answer.is_ok(), &damage);
        answer
    }

    fn count(&mut self, subject: Subject, answered: bool, damage: &Damage) {
        self.asked.count(subject, answered);
        self.asked.unreadable += damage.take();
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
