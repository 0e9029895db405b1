//! Bytes that a real kernel sent (Linux 6.18), against the types that they become. Each was made in a network namespace
//! with a veth pair `n0`, `n1` by the commands beside it; the port id of the asker is zeroed.

use std::net::IpAddr;

use crate::frames::Frame;
use crate::listeners::Listener;
use crate::message::Damage;
use crate::monitor::Heard;
use crate::question::{Answer, Extent};
use crate::socket::Received;
use crate::standing::Standing;
use crate::{Address, AddressChange, ChangeKind, Errno, Link, Route, RtnlError, read, sock_diag};

/// What a captured answer to a question holds.
fn answer<T>(
    bytes: &[u8],
    extent: Extent,
    pick: impl Fn(&Frame<'_>) -> Option<T>,
) -> Result<Vec<T>, RtnlError> {
    let mut found = Vec::new();
    Answer::to(1, extent).take(bytes, &mut |frame| found.extend(pick(frame)))?;
    Ok(found)
}

fn route(bytes: &[u8]) -> Result<Route, RtnlError> {
    answer(bytes, Extent::One, |frame| read::route(frame, &Damage::default()))?.pop().unwrap()
}

fn addresses(bytes: &[u8]) -> Vec<Address> {
    let found = answer(bytes, Extent::Dump, |frame| read::address(frame, &Damage::default())).unwrap();
    found.iter().map(|assignment| assignment.address).collect()
}

fn link(bytes: &[u8]) -> Result<Link, RtnlError> {
    let found = answer(bytes, Extent::One, |frame| read::link(frame, &Damage::default()));
    found.map(|mut links| links.pop().unwrap())
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
    assert_eq!((up.name.as_slice(), up.kind.as_deref()), (&b"n0"[..], Some("veth")));
    assert_eq!((up.up, up.carrier), (true, true));
    assert_eq!(up.mac, Some([0x52, 0x54, 0, 0xaa, 0, 1]));
    // ip link set n1 down
    let without = link(include_bytes!("../captures/link-no-carrier.bin")).unwrap();
    assert_eq!((without.up, without.carrier), (true, false));
    // RTM_GETLINK for index 77
    let missing = link(include_bytes!("../captures/link-missing.bin")).unwrap_err();
    assert_eq!(missing.errno(), Some(Errno::NODEV));
}

/// In captured answers each attribute is damaged in turn: the others are read as before.
#[test]
fn a_damaged_attribute_loses_only_itself() {
    /// `nlmsghdr` and the head of the message.
    const LINK: usize = 16 + 16;
    const ADDRESS: usize = 16 + 8;
    let lengths = |bytes: &[u8], head: usize| {
        let mut at = head;
        std::iter::from_fn(move || {
            let length = usize::from(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().unwrap()));
            let found = (at, length);
            at += length.next_multiple_of(4);
            Some(found)
        })
        .collect::<Vec<_>>()
    };
    let bytes = include_bytes!("../captures/link-up.bin");
    let sound = link(bytes).unwrap();
    for (at, length) in lengths(bytes, LINK) {
        let mut damaged = bytes.to_vec();
        damaged[at + 4..at + length].fill(0xff);
        let read = link(&damaged).unwrap();
        assert_eq!((read.index, read.up, read.carrier), (sound.index, true, true), "at {at}");
        let same = [read.name == sound.name, read.mac == sound.mac, read.kind == sound.kind];
        assert!(same.iter().filter(|same| !**same).count() <= 1, "at {at}: {read:?}");
        assert!(read.shown().is_ascii());
    }
    let bytes = include_bytes!("../captures/addresses-inet.bin");
    let length = u32::from_ne_bytes(bytes[..4].try_into().unwrap()) as usize;
    let (first, rest) = bytes.split_at(length);
    let sound = addresses(bytes);
    for (at, length) in lengths(first, ADDRESS) {
        let mut damaged = first.to_vec();
        damaged[at + 4..at + length].fill(0xff);
        damaged.extend(rest);
        let read = addresses(&damaged);
        assert_eq!(read.last(), sound.last(), "at {at}");
        // A label (3) is of no use here.
        assert!(damaged[at + 2] != 3 || read == sound, "at {at}");
    }
}

/// An attribute that is too short for what it should hold is left out, and counted.
#[test]
fn what_cannot_be_read_is_counted() {
    const ADDRESS: usize = 16 + 8;
    const LOCAL: u16 = 2;
    let bytes = include_bytes!("../captures/addresses-inet.bin");
    let mut damaged = bytes.to_vec();
    let mut at = ADDRESS;
    while u16::from_ne_bytes([damaged[at + 2], damaged[at + 3]]) != LOCAL {
        at += usize::from(u16::from_ne_bytes([damaged[at], damaged[at + 1]])).next_multiple_of(4);
    }
    damaged[at] -= 1; // Three bytes of an IPv4 address; its place stays.
    let damage = Damage::default();
    let found = answer(&damaged, Extent::Dump, |frame| read::address(frame, &damage)).unwrap();
    let found: Vec<_> = found.iter().map(|assignment| assignment.address).collect();
    assert_eq!(found, addresses(bytes)[1..], "the peer's address does not stand for ours");
    assert_eq!(damage.take(), 1);
}

/// Which of these addresses the one listener in these bytes serves: three of this machine, any of IPv4, any of IPv6.
fn served(bytes: &[u8]) -> [bool; 5] {
    let found = answer(bytes, Extent::Dump, |frame| Listener::of(sock_diag::message(frame)?)).unwrap();
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
fn a_standing_connection_and_how_long_it_was_quiet() {
    // SOCK_DIAG_BY_FAMILY with INET_DIAG_INFO as for: ss --tcp --info state established, 1.5 s after 10.0.0.2:40000 sent
    // "request" to 10.0.0.1:6385, which answered 0.1 s later with "answer"; that was not read.
    let bytes = include_bytes!("../captures/standing.bin");
    let found = answer(bytes, Extent::Dump, |frame| Standing::of(sock_diag::message(frame)?)).unwrap();
    let client = found.iter().find(|one| one.peer == "10.0.0.1:6385".parse().unwrap()).unwrap();
    assert_eq!(client.local, "10.0.0.2:40000".parse().unwrap());
    assert_eq!(client.traffic.queued, "answer".len() as u64);
    let (sent, received) = (client.traffic.sent.as_millis(), client.traffic.received.as_millis());
    assert!((1600..1700).contains(&sent) && (1500..1600).contains(&received), "{sent} {received}");
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
        assert_eq!((heard.overruns, heard.undecodable, heard.leaves_open()), (0, 0, false));
        let announced = heard.addresses.iter().map(|change| match change {
            AddressChange::There(one) => one.address.ip,
            AddressChange::Gone(_) => panic!("{change:?}"),
        });
        let expected = if kind == ChangeKind::Address { vec![ip("10.0.0.2")] } else { Vec::new() };
        assert_eq!(announced.collect::<Vec<_>>(), expected);
    }
}
