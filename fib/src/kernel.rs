//! Questions to the kernel, each answered before the call returns: what it would route, which addresses and links it
//! has.

use std::net::IpAddr;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::AddressHeader;
use netlink_packet_route::link::LinkHeader;
use netlink_packet_route::route::{RouteFlags, RouteHeader};
use netlink_sys::protocols::NETLINK_ROUTE;

use crate::message::Damage;
use crate::question::{QuestionSocket, Seen};
use crate::read::{Assignment, Link, Route, address, link, route};
use crate::request::Request;
use crate::{Errno, RtnlError};

/// `RTM_GETLINK`, `RTM_GETADDR`, `RTM_GETROUTE` (include/uapi/linux/rtnetlink.h).
pub(crate) const GET_LINK: u16 = 18;
pub(crate) const GET_ADDRESS: u16 = 22;
pub(crate) const GET_ROUTE: u16 = 26;
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
/// The longest alternative name (`ALTIFNAMSIZ` without its zero, include/uapi/linux/if.h).
const LONG_NAME: usize = 127;

/// What questions about routes hold (`enum rtattr_type_t`, include/uapi/linux/rtnetlink.h).
pub(crate) mod route_attribute {
    pub const DESTINATION: u16 = 1;
    pub const SOURCE: u16 = 2;
    pub const OIF: u16 = 4;
    pub const UID: u16 = 25;
    pub const IP_PROTO: u16 = 27;
    pub const DPORT: u16 = 29;
}

/// What questions about devices hold (include/uapi/linux/if_link.h).
pub(crate) mod link_attribute {
    pub const NAME: u16 = 3;
    pub const EXTENSIONS: u16 = 29;
    pub const ALTERNATIVE_NAME: u16 = 53;
    /// `RTEXT_FILTER_SKIP_STATS` (include/uapi/linux/rtnetlink.h): what an answer costs is mostly its counters.
    pub const SKIP_STATISTICS: u32 = 1 << 3;
}

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
        let damage = Damage::default();
        let answer = self.socket.one(route_request(question), |frame| route(frame, &damage));
        let answer = answer.and_then(|answer| answer);
        self.count(Subject::Route, answer.is_ok(), &damage);
        answer
    }

    /// The addresses of one family, on all devices. With thousands of them that come and go no dump is consistent: what was
    /// seen may be a part.
    ///
    /// # Errors
    /// Where the dump fails.
    pub fn addresses(&mut self, ipv4: bool) -> Result<Seen<Assignment>, RtnlError> {
        let damage = Damage::default();
        let answer = self.socket.dump(address_request(ipv4), |frame| address(frame, &damage));
        self.count(Subject::Address, answer.as_ref().is_ok_and(|seen| seen.complete), &damage);
        answer
    }

    /// The device with this index.
    ///
    /// # Errors
    /// `Refused(ENODEV)` where there is none.
    pub fn link(&mut self, index: u32) -> Result<Link, RtnlError> {
        self.one_link(link_request(index))
    }

    /// The device with this name, or with this alternative name (5.5 and newer).
    ///
    /// # Errors
    /// `Refused(ENODEV)` where there is none.
    pub fn link_named(&mut self, name: &str) -> Result<Link, RtnlError> {
        // The kernel looks for both in either attribute; only their lengths differ (`rtnl_dev_get`, net/core/rtnetlink.c).
        if name.len() > LONG_NAME {
            return Err(RtnlError::Refused(Errno::NODEV)); // No device can have it.
        }
        let kind = if name.len() > NAME { link_attribute::ALTERNATIVE_NAME } else { link_attribute::NAME };
        self.one_link(link_request(0).with(kind, &[name.as_bytes(), &[0]].concat()))
    }

    /// Every device.
    ///
    /// # Errors
    /// Where the dump fails.
    pub fn links(&mut self) -> Result<Vec<Link>, RtnlError> {
        let damage = Damage::default();
        let answer = self.socket.all(link_request(0), |frame| link(frame, &damage));
        self.count(Subject::Link, answer.is_ok(), &damage);
        answer
    }

    fn one_link(&mut self, request: Request) -> Result<Link, RtnlError> {
        let damage = Damage::default();
        let answer = self.socket.one(request, |frame| link(frame, &damage));
        self.count(Subject::Link, answer.is_ok(), &damage);
        answer
    }

    fn count(&mut self, subject: Subject, answered: bool, damage: &Damage) {
        self.asked.count(subject, answered);
        self.asked.unreadable += damage.take();
    }
}

pub(crate) fn route_request(question: &RouteQuestion) -> Request {
    let RouteQuestion { destination, port, source, device } = question;
    let full = if destination.is_ipv4() { 32 } else { 128 };
    let header = RouteHeader {
        address_family: family(destination.is_ipv4()),
        destination_prefix_length: full,
        source_prefix_length: if source.is_some() { full } else { 0 },
        // Without it IPv4 reports table main, whichever it was. IPv6 always tells, and refuses the flag.
        flags: if destination.is_ipv4() { RouteFlags::LookupTable } else { RouteFlags::empty() },
        ..RouteHeader::default()
    };
    let mut request = with_ip(Request::new(GET_ROUTE, &header), route_attribute::DESTINATION, *destination)
        .with(route_attribute::UID, &0_u32.to_ne_bytes())
        .with(route_attribute::IP_PROTO, &[TCP])
        .with(route_attribute::DPORT, &port.to_be_bytes());
    if let Some(source) = source {
        request = with_ip(request, route_attribute::SOURCE, *source);
    }
    match device {
        Some(device) => request.with(route_attribute::OIF, &device.to_ne_bytes()),
        None => request,
    }
}

pub(crate) fn address_request(ipv4: bool) -> Request {
    Request::new(GET_ADDRESS, &AddressHeader { family: family(ipv4), ..AddressHeader::default() })
}

/// Of all devices where `index` is 0 and no name follows.
pub(crate) fn link_request(index: u32) -> Request {
    let request = Request::new(GET_LINK, &LinkHeader { index, ..LinkHeader::default() });
    request.with(link_attribute::EXTENSIONS, &link_attribute::SKIP_STATISTICS.to_ne_bytes())
}

fn family(ipv4: bool) -> AddressFamily {
    if ipv4 { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn with_ip(request: Request, kind: u16, ip: IpAddr) -> Request {
    match ip {
        IpAddr::V4(ip) => request.with(kind, &ip.octets()),
        IpAddr::V6(ip) => request.with(kind, &ip.octets()),
    }
}
