//! What is written and read here by hand, against netlink-packet-route's own whole messages: on answers of this machine's
//! kernel, on captured ones, and on generated ones.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{
    DefaultNla, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};
use netlink_packet_route::link::{
    InfoKind, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkMessage, Prop,
};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteType};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use proptest::prelude::*;

use crate::frames::frames;
use crate::kernel::{address_request, link_attribute, link_request, route_request};
use crate::message::Damage;
use crate::request::Request;
use crate::socket::{NetlinkSocket, Received};
use crate::{Address, Errno, Link, Route, RouteQuestion, RtnlError, read};

/// What a message says, for us and for netlink-packet-route.
#[derive(Debug, PartialEq)]
enum Said {
    Route(Result<Route, Option<Errno>>),
    Address(Option<Address>),
    Link(Link),
}

fn ours(bytes: &[u8]) -> Vec<Said> {
    let damage = Damage::default();
    let said = frames(bytes).filter_map(|frame| {
        let frame = frame.unwrap();
        match frame.kind {
            16 => read::link(&frame, &damage).map(Said::Link),
            20 => Some(Said::Address(read::address(&frame, &damage).map(|one| one.address))),
            24 => read::route(&frame, &damage).map(|route| Said::Route(route.map_err(|error| error.errno()))),
            _ => None,
        }
    });
    let said = said.collect();
    assert_eq!(damage.take(), 0);
    said
}

fn theirs(bytes: &[u8]) -> Vec<Said> {
    let said = frames(bytes).filter_map(|frame| {
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(frame.unwrap().bytes).unwrap();
        match message.payload {
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => {
                Some(Said::Link(typed_link(&link)))
            }
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(address)) => {
                Some(Said::Address(typed_address(&address)))
            }
            NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route)) => {
                Some(Said::Route(typed_route(&route)))
            }
            _ => None,
        }
    });
    said.collect()
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some((*ip).into()),
        RouteAddress::Inet6(ip) => Some((*ip).into()),
        _ => None,
    }
}

fn typed_route(message: &RouteMessage) -> Result<Route, Option<Errno>> {
    let mut route = Route { source: None, device: None, table: None };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::PrefSource(source) => route.source = ip(source),
            RouteAttribute::Oif(device) => route.device = Some(*device),
            RouteAttribute::Table(table) => route.table = Some(*table),
            _ => {}
        }
    }
    match message.header.kind {
        RouteType::Broadcast | RouteType::Multicast => Err(Some(Errno::NETUNREACH)),
        RouteType::BlackHole => Err(Some(Errno::INVAL)),
        RouteType::Unreachable if route.device.is_none() => Err(Some(Errno::NETUNREACH)),
        RouteType::Unreachable => Err(Some(Errno::HOSTUNREACH)),
        RouteType::Prohibit => Err(Some(Errno::ACCES)),
        _ => Ok(route),
    }
}

fn typed_address(message: &AddressMessage) -> Option<Address> {
    let (mut address, mut local) = (None, None);
    let mut flags = AddressFlags::from_bits_retain(u32::from(message.header.flags.bits()));
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Address(ip) => address = Some(*ip),
            AddressAttribute::Local(ip) => local = Some(*ip),
            AddressAttribute::Flags(wide) => flags = *wide,
            _ => {}
        }
    }
    let ip = local.or(address)?;
    Some(Address {
        ip,
        device: message.header.index,
        link_scope: message.header.scope == AddressScope::Link,
        tentative: flags.contains(AddressFlags::Tentative) && !flags.contains(AddressFlags::Optimistic),
        dad_failed: flags.contains(AddressFlags::Dadfailed),
        deprecated: flags.contains(AddressFlags::Deprecated),
        temporary: ip.is_ipv6() && flags.contains(AddressFlags::Secondary),
    })
}

fn typed_link(message: &LinkMessage) -> Link {
    let mut link = Link {
        index: message.header.index,
        name: Vec::new(),
        alternative_names: Vec::new(),
        up: message.header.flags.contains(LinkFlags::Up),
        carrier: message.header.flags.contains(LinkFlags::LowerUp),
        mac: None,
        permanent_mac: None,
        kind: None,
        parent: None,
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name.clone().into(),
            LinkAttribute::Address(mac) => link.mac = mac.as_slice().try_into().ok(),
            LinkAttribute::PermAddress(mac) => link.permanent_mac = mac.as_slice().try_into().ok(),
            LinkAttribute::LinkInfo(infos) => {
                link.kind = infos.iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(kind.to_string()),
                    _ => None,
                });
            }
            LinkAttribute::PropList(properties) => {
                link.alternative_names = properties
                    .iter()
                    .filter_map(|property| match property {
                        Prop::AltIfName(name) => Some(name.clone().into()),
                        _ => None,
                    })
                    .collect();
            }
            LinkAttribute::ParentDevName(parent) => link.parent = Some(parent.clone()),
            _ => {}
        }
    }
    link
}

fn bytes(message: RouteNetlinkMessage, flags: u16) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    (header.flags, header.sequence_number) = (flags, 1);
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// The datagrams of this machine's kernel.
fn asked(mut request: Request, flags: u16) -> Vec<Vec<u8>> {
    let mut socket = NetlinkSocket::open(NETLINK_ROUTE).unwrap();
    socket.set_read_timeout(std::time::Duration::from_secs(5)).unwrap();
    socket.send(request.bytes(NLM_F_REQUEST | flags, 1).unwrap()).unwrap();
    let mut datagrams = Vec::new();
    loop {
        let Received::Datagram(bytes) = socket.receive().unwrap() else { panic!("lost") };
        datagrams.push(bytes.to_vec());
        let is_last = |datagram: &[u8]| frames(datagram).any(|frame| matches!(frame.unwrap().kind, 2 | 3));
        if flags == 0 || is_last(bytes) {
            return datagrams;
        }
    }
}

#[test]
fn answers_of_this_kernel_are_read_alike() {
    let dumps = [link_request(0), address_request(true), address_request(false)];
    let loopback = |destination: IpAddr| {
        route_request(&RouteQuestion { destination, port: 6385, source: None, device: None })
    };
    let one = [loopback(Ipv4Addr::LOCALHOST.into()), loopback(Ipv6Addr::LOCALHOST.into()), link_request(1)];
    let answers = dumps.map(|request| asked(request, NLM_F_DUMP)).into_iter().flatten();
    let mut read = 0;
    for bytes in answers.chain(one.map(|request| asked(request, 0)).into_iter().flatten()) {
        assert_eq!(ours(&bytes), theirs(&bytes));
        read += ours(&bytes).len();
    }
    assert!(read >= 4, "lo, its address, the route to it, lo again: {read}");
}

#[test]
fn captured_answers_are_read_alike() {
    for bytes in [
        &include_bytes!("../captures/route-table-100.bin")[..],
        include_bytes!("../captures/addresses-inet.bin"),
        include_bytes!("../captures/addresses-inet6.bin"),
        include_bytes!("../captures/link-up.bin"),
        include_bytes!("../captures/link-no-carrier.bin"),
        include_bytes!("../captures/multicast-address.bin"),
    ] {
        assert_eq!(ours(bytes), theirs(bytes));
        assert!(!ours(bytes).is_empty());
    }
}

/// Address, and where it comes from.
fn any_ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| Ipv4Addr::from(bits).into()),
        any::<u128>().prop_map(|bits| Ipv6Addr::from(bits).into()),
    ]
}

fn route_address(ip: IpAddr) -> RouteAddress {
    match ip {
        IpAddr::V4(ip) => RouteAddress::Inet(ip),
        IpAddr::V6(ip) => RouteAddress::Inet6(ip),
    }
}

fn family(ip: IpAddr) -> AddressFamily {
    if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

proptest! {
    #[test]
    fn questions_about_routes_are_written_alike(
        destination in any_ip(),
        port in any::<u16>(),
        from in prop::option::of(any::<u128>()),
        device in prop::option::of(any::<u32>()),
    ) {
        let source = from.map(|bits| match destination {
            IpAddr::V4(_) => Ipv4Addr::from_bits(bits as u32).into(),
            IpAddr::V6(_) => IpAddr::from(Ipv6Addr::from(bits)),
        });
        let mut request = route_request(&RouteQuestion { destination, port, source, device });
        let mut message = RouteMessage::default();
        let full = if destination.is_ipv4() { 32 } else { 128 };
        message.header.address_family = family(destination);
        message.header.destination_prefix_length = full;
        if destination.is_ipv4() {
            message.header.flags = RouteFlags::LookupTable;
        }
        message.attributes = vec![
            RouteAttribute::Destination(route_address(destination)),
            RouteAttribute::Uid(0),
            RouteAttribute::IpProto(6),
            RouteAttribute::Dport(port),
        ];
        if let Some(source) = source {
            message.header.source_prefix_length = full;
            message.attributes.push(RouteAttribute::Source(route_address(source)));
        }
        message.attributes.extend(device.map(RouteAttribute::Oif));
        let typed = bytes(RouteNetlinkMessage::GetRoute(message), NLM_F_REQUEST);
        prop_assert_eq!(request.bytes(NLM_F_REQUEST, 1).unwrap(), typed);
    }

    #[test]
    fn questions_about_devices_are_written_alike(index in any::<u32>(), name in "[a-z0-9.]{1,15}") {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.attributes = vec![LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats])];
        let typed = bytes(RouteNetlinkMessage::GetLink(message.clone()), 0);
        let mut request = link_request(index);
        prop_assert_eq!(request.bytes(0, 1).unwrap(), typed);
        let with_zero = [name.as_bytes(), &[0]].concat();
        message.attributes.push(LinkAttribute::IfName(name));
        let typed = bytes(RouteNetlinkMessage::GetLink(message.clone()), 0);
        let mut named = link_request(index).with(link_attribute::NAME, &with_zero);
        prop_assert_eq!(named.bytes(0, 1).unwrap(), typed);
        let alternative = DefaultNla::new(link_attribute::ALTERNATIVE_NAME, with_zero.clone());
        *message.attributes.last_mut().unwrap() = LinkAttribute::Other(alternative);
        let typed = bytes(RouteNetlinkMessage::GetLink(message), 0);
        let mut named = link_request(index).with(link_attribute::ALTERNATIVE_NAME, &with_zero);
        prop_assert_eq!(named.bytes(0, 1).unwrap(), typed);
    }

    #[test]
    fn generated_routes_are_read_alike(
        kind in any::<u8>(),
        destination in any_ip(),
        source in prop::option::of(any_ip()),
        device in prop::option::of(any::<u32>()),
        table in prop::option::of(any::<u32>()),
    ) {
        let mut message = RouteMessage::default();
        message.header.address_family = family(destination);
        message.header.kind = RouteType::from(kind);
        message.attributes = vec![RouteAttribute::Destination(route_address(destination))];
        // The typed reader takes the family of the header for each address.
        let source = source.filter(|source| source.is_ipv4() == destination.is_ipv4());
        message.attributes.extend(source.map(route_address).map(RouteAttribute::PrefSource));
        message.attributes.extend(device.map(RouteAttribute::Oif));
        message.attributes.extend(table.map(RouteAttribute::Table));
        let bytes = bytes(RouteNetlinkMessage::NewRoute(message), 0);
        prop_assert_eq!(ours(&bytes), theirs(&bytes));
    }

    #[test]
    fn generated_addresses_are_read_alike(
        peer in prop::option::of(any_ip()),
        local in prop::option::of(any_ip()),
        flags in prop::option::of(any::<u32>()),
        scope in any::<u8>(),
        (index, prefix, short) in any::<(u32, u8, u8)>(),
    ) {
        let mut message = AddressMessage::default();
        let (header, first) = (&mut message.header, local.or(peer));
        header.family = first.map(family).unwrap_or_default();
        (header.index, header.prefix_len, header.scope) = (index, prefix, AddressScope::from(scope));
        header.flags = netlink_packet_route::address::AddressHeaderFlags::from_bits_retain(short);
        let fits = |ip: &IpAddr| first.is_some_and(|first| first.is_ipv4() == ip.is_ipv4());
        message.attributes.extend(peer.filter(fits).map(AddressAttribute::Address));
        message.attributes.extend(local.filter(fits).map(AddressAttribute::Local));
        message.attributes.extend(flags.map(AddressFlags::from_bits_retain).map(AddressAttribute::Flags));
        let bytes = bytes(RouteNetlinkMessage::NewAddress(message), 0);
        prop_assert_eq!(ours(&bytes), theirs(&bytes));
    }

    #[test]
    fn generated_devices_are_read_alike(
        (index, flags) in any::<(u32, u32)>(),
        name in "[a-z0-9.]{1,15}",
        mac in prop::collection::vec(any::<u8>(), 0..9),
        others in prop::collection::vec("[a-z0-9.]{1,40}", 0..3),
        is_bond in any::<bool>(),
    ) {
        let mut message = LinkMessage::default();
        (message.header.index, message.header.flags) = (index, LinkFlags::from_bits_retain(flags));
        message.attributes = vec![
            LinkAttribute::IfName(name),
            LinkAttribute::Address(mac.clone()),
            LinkAttribute::PermAddress(mac),
            LinkAttribute::PropList(others.into_iter().map(Prop::AltIfName).collect()),
        ];
        let kind = is_bond.then_some(InfoKind::Bond);
        message.attributes.extend(kind.map(|kind| LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)])));
        let bytes = bytes(RouteNetlinkMessage::NewLink(message), 0);
        prop_assert_eq!(ours(&bytes), theirs(&bytes));
    }
}

#[test]
fn an_error_of_a_question_is_no_message() {
    let answer = asked(link_request(u32::MAX), 0);
    assert_eq!(ours(&answer[0]), []);
    let mut kernel = crate::Kernel::open().unwrap();
    assert!(matches!(kernel.link(u32::MAX), Err(RtnlError::Refused(_))));
    assert_eq!(kernel.link_named(&"x".repeat(128)).unwrap_err().errno(), Some(Errno::NODEV));
    assert_eq!(kernel.link_named(&"x".repeat(127)).unwrap_err().errno(), Some(Errno::NODEV));
}
