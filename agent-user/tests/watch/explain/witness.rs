//! The witness that counts: the source of a TCP connection that the kernel really made to the API.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use testbed::netns::Netns;
use testbed::root_test;

use crate::machine::{explain, ip_says, url};

const APIS: [&str; 2] = ["203.0.113.1", "2001:db8::1"];
const PORTS: [u16; 2] = [6385, 443];

/// Us with two NICs, and the network behind both: gateways and the API.
struct Network {
    node: Netns,
    _behind: Netns,
    _listeners: Vec<TcpListener>,
}

impl Network {
    fn new() -> Self {
        let (node, behind) = (Netns::new().unwrap(), Netns::new().unwrap());
        behind
            .ip_lines(
                "addr add 203.0.113.1/32 dev lo
                 addr add 2001:db8::1/128 dev lo nodad",
            )
            .unwrap();
        for (subnet, ours, theirs) in [(0, "n0", "r0"), (1, "m0", "r1")] {
            node.join(ours, &behind, theirs).unwrap();
            let addresses = |host: u8, device: &str| {
                format!(
                    "addr add 10.{subnet}.0.{host}/24 dev {device}
                     addr add fd0{subnet}::{host}/64 dev {device} nodad"
                )
            };
            node.ip_lines(&addresses(2, ours)).unwrap();
            behind.ip_lines(&addresses(1, theirs)).unwrap();
        }
        for scope in ["all", "r0", "r1"] {
            let name = format!("net/ipv4/conf/{scope}/rp_filter");
            behind.sysctl(&name, "0").unwrap();
        }
        // What else the node may send from.
        behind
            .ip_lines(
                "route add 192.0.2.50/32 via 10.1.0.2 dev r1
                 route add 2001:db8:50::1/128 via fd01::2 dev r1",
            )
            .unwrap();
        let listeners =
            PORTS.map(|port| behind.enter(move || TcpListener::bind(("::", port)).unwrap()).unwrap());
        Self { node, _behind: behind, _listeners: listeners.into() }
    }

    /// Connects as root; gives the source that the kernel took.
    fn connect(&self, what: &str, api: &str, port: u16) -> IpAddr {
        let api = SocketAddr::new(api.parse().unwrap(), port);
        let connect = || TcpStream::connect_timeout(&api, Duration::from_secs(5));
        let stream = self.node.enter(connect).unwrap();
        let stream = stream.unwrap_or_else(|error| panic!("{what}, {api}: {error}"));
        stream.local_addr().unwrap().ip()
    }
}

const DEFAULTS: &str = "route add default via 10.0.0.1 dev n0
                        route add default via fd00::1 dev n0";

/// What was tried and the commands that set it up; on top of the default routes over n0 unless they come themselves.
const CASES: [(&str, &str); 10] = [
    ("default routes", ""),
    (
        "preferred source",
        "addr add 10.0.0.7/24 dev n0
         addr add fd00::7/64 dev n0 nodad
         route add 203.0.113.0/24 via 10.0.0.1 dev n0 src 10.0.0.7
         route add 2001:db8::/32 via fd00::1 dev n0 src fd00::7",
    ),
    (
        "two tables, rule by destination and the return rules",
        "route add default via 10.1.0.1 dev m0 table 100
         route add default via fd01::1 dev m0 table 100
         rule add to 203.0.113.0/24 lookup 100
         -6 rule add to 2001:db8::/32 lookup 100
         rule add from 10.1.0.2 lookup 100
         -6 rule add from fd01::2 lookup 100",
    ),
    (
        "rule by port",
        "route add default via 10.1.0.1 dev m0 table 100
         route add default via fd01::1 dev m0 table 100
         rule add ipproto 6 dport 6385 lookup 100
         -6 rule add ipproto 6 dport 6385 lookup 100",
    ),
    (
        "rule by uid",
        "route add default via 10.1.0.1 dev m0 table 100
         route add default via fd01::1 dev m0 table 100
         rule add uidrange 0-0 lookup 100
         -6 rule add uidrange 0-0 lookup 100",
    ),
    (
        "rule for what this machine sends itself",
        "route add default via 10.1.0.1 dev m0 table 100
         route add default via fd01::1 dev m0 table 100
         rule add iif lo lookup 100
         -6 rule add iif lo lookup 100",
    ),
    (
        "unnumbered NIC",
        "addr add 192.0.2.50/32 dev lo
         addr add 2001:db8:50::1/128 dev lo nodad
         route add 203.0.113.0/24 via 10.1.0.1 dev m0 src 192.0.2.50
         route add 2001:db8::1/128 via fd01::1 dev m0 src 2001:db8:50::1",
    ),
    (
        "several paths",
        "route add 203.0.113.0/24 nexthop via 10.0.0.1 dev n0 nexthop via 10.1.0.1 dev m0
         -6 route add 2001:db8::/48 nexthop via fd00::1 dev n0 nexthop via fd01::1 dev m0",
    ),
    (
        "nexthop objects",
        "nexthop add id 1 via 10.1.0.1 dev m0
         nexthop add id 2 via fd01::1 dev m0
         route add 203.0.113.0/24 nhid 1
         -6 route add 2001:db8::/48 nhid 2",
    ),
    (
        "a deprecated address beside",
        "addr add fd00::8/64 dev n0 nodad preferred_lft 0
         addr add 10.0.0.8/24 dev n0 preferred_lft 0",
    ),
];

#[test]
fn the_answer_is_the_source_of_a_real_connection() {
    root_test!();
    let mut connections = 0;
    for (what, setup) in CASES {
        let network = Network::new();
        network.node.ip_lines(DEFAULTS).unwrap();
        network.node.ip_lines(setup).unwrap();
        for api in APIS {
            for port in PORTS {
                let source = network.connect(what, api, port).to_string();
                let flags = ["--ironic.api-url", &url(api, port)];
                // Several paths: the same one every time.
                for _ in 0..3 {
                    let explained = explain(&network.node, &flags);
                    let answer = &explained.answer;
                    assert_eq!(explained.text("address"), Some(source.as_str()), "{what}: {answer:#}");
                }
                assert_eq!(ip_says(&network.node, api, port).0, source, "{what}");
                connections += 1;
            }
        }
    }
    println!("{connections} real connections, each from the address that explain gives");
}
