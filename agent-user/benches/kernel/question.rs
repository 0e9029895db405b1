//! Which source address reaches the API? Ours, the least that the same question can cost, and `ip route get`.

use std::process::Command;
use std::time::Instant;

use fib::{Kernel, RouteQuestion};
use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteFlags, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

use super::address::one_nic;
use super::{Times, microseconds};

const API: std::net::Ipv4Addr = std::net::Ipv4Addr::new(203, 0, 113, 1);
const PORT: u16 = 6385;
const ADDRESS: &str = "10.0.0.2";
/// Questions in one batch, whose mean is one sample.
const BATCH: u32 = 500;
/// The same for `ip`, which takes a thousand times as long.
const PROCESSES: u32 = 5;

/// Batches of the three in turns, on one thread.
pub fn measure(rounds: usize) -> Times {
    let netns = one_nic();
    netns.ip(&format!("addr add {ADDRESS}/24 dev n0")).unwrap();
    netns.ip("route add default via 10.0.0.1 dev n0").unwrap();
    netns.enter(|| in_turns(rounds)).unwrap()
}

fn in_turns(rounds: usize) -> Times {
    let mut kernel = Kernel::open().unwrap();
    let question = RouteQuestion { destination: API.into(), port: PORT, source: None, device: None };
    let mut floor = Floor::new();
    let mut times = Times::new();
    for _ in 0..rounds {
        let mut add = |name, count, ask: &mut dyn FnMut()| {
            let started = Instant::now();
            (0..count).for_each(|_| ask());
            times.entry(name).or_default().push(microseconds(started.elapsed()) / f64::from(count));
        };
        add("ours", BATCH, &mut || {
            let route = kernel.route(&question).unwrap();
            assert_eq!(route.source.unwrap().to_string(), ADDRESS);
        });
        add("floor", BATCH, &mut || floor.ask());
        add("process", PROCESSES, &mut || {
            let output = Command::new("ip").args(["route", "get", &API.to_string()]).output().unwrap();
            assert!(String::from_utf8_lossy(&output.stdout).contains(&format!("src {ADDRESS} ")));
        });
    }
    times
}

/// Sends the same bytes again and again on an open socket, and reads the answer without a look at it.
struct Floor {
    socket: Socket,
    question: Vec<u8>,
    answer: Vec<u8>,
}

impl Floor {
    fn new() -> Self {
        let mut socket = Socket::new(NETLINK_ROUTE).unwrap();
        socket.bind_auto().unwrap();
        socket.set_ext_ack(true).unwrap();
        socket.set_cap_ack(true).unwrap();
        socket.set_netlink_get_strict_chk(true).unwrap();
        let mut route = RouteMessage::default();
        route.header.address_family = AddressFamily::Inet;
        route.header.destination_prefix_length = 32;
        route.header.flags = RouteFlags::LookupTable;
        route.attributes = vec![
            RouteAttribute::Destination(RouteAddress::Inet(API)),
            RouteAttribute::Uid(0),
            RouteAttribute::IpProto(6),
            RouteAttribute::Dport(PORT),
        ];
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST;
        let payload = NetlinkPayload::InnerMessage(RouteNetlinkMessage::GetRoute(route));
        let mut message = NetlinkMessage::new(header, payload);
        message.finalize();
        let mut question = vec![0; message.buffer_len()];
        message.serialize(&mut question);
        Self { socket, question, answer: Vec::with_capacity(64 * 1024) }
    }

    fn ask(&mut self) {
        self.socket.send_to(&self.question, &SocketAddr::new(0, 0), 0).unwrap();
        self.answer.clear();
        self.socket.recv_from(&mut self.answer, 0).unwrap();
        assert_eq!(self.answer[4..6], 24_u16.to_ne_bytes(), "RTM_NEWROUTE");
    }
}
