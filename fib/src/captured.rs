//! Bytes that a real kernel sent (Linux 6.18), against the types that they become. Each was made in a network namespace
//! with a veth pair `n0`, `n1` by the commands beside it; the port id of the asker is zeroed.

use std::net::IpAddr;

use netlink_packet_core::NetlinkDeserializable;
use netlink_packet_route::RouteNetlinkMessage;

use crate::kernel::{as_link, read_address, read_route};
use crate::listeners::Listener;
use crate::monitor::Heard;
use crate::question::{Answer, Extent};
use crate::socket::Received;
use crate::{Address, ChangeKind, Errno, Link, Route, RtnlError};

/// What a captured answer to a question holds.
fn answer<M: NetlinkDeserializable, T>(
    bytes: &[u8],
    extent: Extent,
    pick: impl Fn(M) -> Option<T>,
) -> Result<Vec<T>, RtnlError> {
    let mut answer = Answer::to(1, extent);
    answer.take(bytes, &pick).map(|_| answer.seen.found)
}

fn route(bytes: &[u8]) -> Result<Route, RtnlError> {
    let found = answer(bytes, Extent::One, |message| match message {
        RouteNetlinkMessage::NewRoute(route) => Some(route),
        _ => None,
    });
    read_route(found?.pop().unwrap())
}

fn addresses(bytes: &[u8]) -> Vec<Address> {
    let found = answer(bytes, Extent::Dump, |message| match message {
        RouteNetlinkMessage::NewAddress(address) => read_address(&address),
        _ => None,
    });
    found.unwrap()
}

fn link(bytes: &[u8]) -> Result<Link, RtnlError> {
    answer(bytes, Extent::One, as_link).map(|mut links| links.pop().unwrap())
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn routes() {
    // ip addr add 10.0.0.3/24 dev n0
    // ip route add 203.0.113.0/24 via 10.0.0.1 src 10.0.0.3 table 100
    // ip rule add to 203.0.113.0/24 table 100
    // RTM_GETROUTE as for: ip route get fibmatch 203.0.113.1 uid 0 ipproto tcp dport 6385
    let found = route(include_bytes!("../captures/route-table-100.bin")).unwrap();
    assert_eq!((found.source, found.table), (Some(ip("10.0.0.3")), Some(100)));
    assert!(found.device.is_some());
    // ip route add prohibit 198.51.100.0/24; ip route add blackhole 192.0.2.0/24
    let refused = |bytes| route(bytes).unwrap_err().errno();
    assert_eq!(refused(include_bytes!("../captures/route-prohibit.bin")), Some(Errno::ACCES));
    assert_eq!(refused(include_bytes!("../captures/route-blackhole.bin")), Some(Errno::INVAL));
    // The same question about fd00::9 with RTM_F_LOOKUP_TABLE, which IPv6 refuses.
    let malformed = route(include_bytes!("../captures/route-malformed.bin"));
    assert!(matches!(&malformed, Err(RtnlError::Malformed(text)) if text.contains("flags")), "{malformed:?}");
}

#[test]
fn addresses_with_their_flags() {
    // ip addr add 10.0.0.2/24 dev n0; ip addr add 10.0.0.3/24 dev n0 label n0:second
    let four = addresses(include_bytes!("../captures/addresses-inet.bin"));
    assert_eq!(four.iter().map(|address| address.ip).collect::<Vec<_>>(), [ip("10.0.0.2"), ip("10.0.0.3")]);
    // The second one is "secondary", which has the same bit as "temporary" of IPv6.
    assert!(four.iter().all(|address| !address.temporary && !address.tentative && !address.link_scope));
    // echo 8 > /proc/sys/net/ipv6/conf/n0/dad_transmits; ip addr add fd00::2/64 dev n0
    // ip addr add fd00::3/64 dev n0 nodad preferred_lft 0
    let six = addresses(include_bytes!("../captures/addresses-inet6.bin"));
    let flags = |text: &str| {
        let address = six.iter().find(|address| address.ip == ip(text)).unwrap();
        (address.tentative, address.deprecated)
    };
    assert_eq!((flags("fd00::2"), flags("fd00::3")), ((true, false), (false, true)));
    assert!(six.iter().any(|address| address.link_scope), "the link-local one");
}

#[test]
fn links() {
    // ip link set n0 address 52:54:00:aa:00:01; ip link set n0 up; ip link set n1 up
    let up = link(include_bytes!("../captures/link-up.bin")).unwrap();
    assert_eq!((up.name.as_str(), up.kind.as_deref()), ("n0", Some("veth")));
    assert_eq!((up.up, up.carrier), (true, true));
    assert_eq!(up.mac, Some([0x52, 0x54, 0, 0xaa, 0, 1]));
    // ip link set n1 down
    let without = link(include_bytes!("../captures/link-no-carrier.bin")).unwrap();
    assert_eq!((without.up, without.carrier), (true, false));
    // RTM_GETLINK for index 77
    let missing = link(include_bytes!("../captures/link-missing.bin")).unwrap_err();
    assert_eq!(missing.errno(), Some(Errno::NODEV));
}

/// Which of these addresses the one listener in these bytes serves: three of ours, any of IPv4, any of IPv6.
fn served(bytes: &[u8]) -> [bool; 5] {
    let found = answer(bytes, Extent::Dump, Listener::of).unwrap();
    assert_eq!(found.iter().map(|listener| listener.port).collect::<Vec<_>>(), [9999]);
    ["10.0.0.2", "10.0.0.3", "fd00::2", "0.0.0.0", "::"]
        .map(|address| found.iter().any(|one| one.serves(ip(address))))
}

#[test]
fn listeners() {
    // SOCK_DIAG_BY_FAMILY as for: ss --listening --tcp 'sport = 9999', while 10.0.0.2:9999 listens
    assert_eq!(served(include_bytes!("../captures/listeners.bin")), [true, false, false, true, false]);
    // The same while 0.0.0.0:9999 listens; then [::]:9999 without and with IPV6_V6ONLY
    assert_eq!(served(include_bytes!("../captures/listeners-any4.bin")), [true, true, false, true, false]);
    assert_eq!(served(include_bytes!("../captures/listeners-any6.bin")), [true, true, true, true, true]);
    assert_eq!(
        served(include_bytes!("../captures/listeners-any6only.bin")),
        [false, false, true, false, true]
    );
}

#[test]
fn announcements() {
    // The groups RTNLGRP_IPV4_IFADDR and RTNLGRP_IPV4_ROUTE, at: ip addr add 10.0.0.2/24 dev n0
    for (bytes, kind) in [
        (&include_bytes!("../captures/multicast-address.bin")[..], ChangeKind::Address),
        (include_bytes!("../captures/multicast-route.bin"), ChangeKind::Route),
    ] {
        let heard = Heard::of(&Received::Datagram(bytes));
        assert_eq!(heard.messages().find(|(_, count)| *count > 0), Some((kind, 1)));
        assert_eq!((heard.overruns, heard.undecodable), (0, 0));
    }
}
