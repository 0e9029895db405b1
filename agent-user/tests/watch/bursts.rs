//! Many messages at once, and messages of others.

use std::time::{Duration, Instant};

use ipa_sidecar::inside::WINDOW;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use testbed::netns::Netns;
use testbed::root_test;
use testbed::site::{Directory, wait_until};

use crate::machine::{addressed, addressed_without_ipv6, batch, start, start_at};
use crate::{SOON, print_decision_seconds, route_questions};

const API: [&str; 2] = ["--ironic.api-url", "http://203.0.113.1:6385"];
const CHANGES: u32 = 2000;

#[test]
fn a_burst_is_answered_by_few_questions_and_its_last_event_counts() {
    root_test!();
    let netns = addressed();
    let files = Directory::new("watch");
    let last = "route add 203.0.113.0/24 via 10.1.0.1 dev m0".to_owned();
    let lines = (0..CHANGES).map(|n| format!("route add 198.18.{}.{}/32 dev n0", n / 256, n % 256));
    let batch = batch(&files, "burst", lines.chain([last]));
    let daemon = start_at(&netns, &API, Some("10.0.0.2"));
    let route_messages = "netlink_messages_total{type=\"route\"}";
    let before = (route_questions(&daemon), daemon.metric(route_messages).unwrap().unwrap());
    let started = Instant::now();
    netns.ip(&batch).unwrap();
    let burst = started.elapsed();
    daemon.wait_address(Some("10.1.0.2"), SOON).unwrap();
    let seen = started.elapsed().saturating_sub(burst);
    // Whatever the window still holds is answered before the count.
    std::thread::sleep(WINDOW * 4);
    let asked = (route_questions(&daemon) - before.0) / 2.0;
    let messages = daemon.metric(route_messages).unwrap().unwrap() - before.1;
    let allowed = burst.as_secs_f64() / WINDOW.as_secs_f64() + 4.0;
    println!(
        "burst of {messages} route messages in {} ms: asked {asked} times (allowed {allowed:.0}), right {} ms after its end",
        burst.as_millis(),
        seen.as_millis()
    );
    assert!(messages >= f64::from(CHANGES), "{messages} messages were heard");
    assert!(asked >= 1.0 && asked <= allowed, "asked {asked} times, allowed {allowed}");
    print_decision_seconds(&daemon, "burst");
}

#[test]
fn after_quiet_the_first_event_is_answered_at_once() {
    root_test!();
    let netns = addressed_without_ipv6();
    let daemon = start_at(&netns, &API, Some("10.0.0.2"));
    let measure = || {
        ["sum", "count"].map(|part| {
            let sample = format!("advertise_decision_seconds_{part}");
            daemon.metric(&sample).unwrap().unwrap()
        })
    };
    let mut times = Vec::new();
    for (way, address) in [("via 10.1.0.1 dev m0", "10.1.0.2"), ("via 10.0.0.1 dev n0", "10.0.0.2")].repeat(5)
    {
        std::thread::sleep(WINDOW * 3);
        let [sum, count] = measure();
        netns.ip(&format!("route replace 203.0.113.0/24 {way}")).unwrap();
        daemon.wait_address(Some(address), SOON).unwrap();
        // The look of every 30 s may answer first; the event is answered then too.
        daemon.wait("an answered event", SOON, || (measure()[1] > count).then_some(())).unwrap();
        let [sum, count] = [measure()[0] - sum, measure()[1] - count];
        assert_eq!(count, 1.0, "one route message, one answer");
        times.push(sum * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    println!("from one event to the decision, in ms: {times:.2?}");
    let window = WINDOW.as_secs_f64() * 1000.0;
    assert!(times[5] < window / 2.0, "the median is no wait for a window: {times:?}");
}

/// A dump that changes overtake must not look like the loss of an address.
#[test]
fn addresses_that_come_and_go_elsewhere_do_not_take_ours() {
    root_test!();
    let netns = addressed();
    let files = Directory::new("watch");
    netns
        .ip_lines(
            "addr add 192.0.2.50/32 dev lo
             route add 203.0.113.0/24 via 10.0.0.1 dev n0 src 192.0.2.50",
        )
        .unwrap();
    let many = |verb: &'static str, third: u32| {
        (0..3000).map(move |n| format!("addr {verb} 172.{third}.{}.{}/32 dev m0", n >> 8, n & 255))
    };
    netns.ip(&batch(&files, "standing", many("add", 16))).unwrap();
    let storm =
        batch(&files, "storm", (17..22).flat_map(|third| many("add", third).chain(many("del", third))));
    let daemon = start(&netns, &API);
    let before = daemon.wait_address(Some("192.0.2.50"), Duration::from_secs(5)).unwrap();
    let started = Instant::now();
    netns.ip(&storm).unwrap();
    println!(
        "30000 address changes among 3000 addresses in {} ms: {} overruns, failed address questions {}",
        started.elapsed().as_millis(),
        daemon.metric("netlink_overruns_total").unwrap().unwrap(),
        daemon.metric("netlink_queries_total{query=\"address\",result=\"error\"}").unwrap().unwrap(),
    );
    std::thread::sleep(WINDOW * 4);
    let after = daemon.state().unwrap();
    assert_eq!(after["address"], "192.0.2.50");
    assert_eq!(after["generation"], before["generation"], "it flapped:\n{}", daemon.log());
    print_decision_seconds(&daemon, "address storm");
}

/// Port ids of the subscribed netlink sockets of a process (`/proc/net/netlink`: Pid is the port id).
fn monitor_port(netns: &Netns) -> u32 {
    let output = netns.command("cat").arg("/proc/net/netlink").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let ports: Vec<u32> = text
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let subscribed = fields[1] == "0" && fields[3] != "00000000" && fields[2] != "0";
            subscribed.then(|| fields[2].parse().unwrap())
        })
        .collect();
    assert_eq!(ports.len(), 1, "one subscribed NETLINK_ROUTE socket: {text}");
    ports[0]
}

#[test]
fn a_message_that_is_not_the_kernels_changes_nothing() {
    root_test!();
    let netns = addressed();
    let daemon = start(&netns, &API);
    let before = daemon.wait_address(Some("10.0.0.2"), Duration::from_secs(5)).unwrap();
    let port = monitor_port(&netns);
    let spoofed = || daemon.metric("netlink_messages_total{type=\"spoofed\"}").unwrap().unwrap();
    let others = || {
        ["link", "address", "route", "rule", "nexthop", "other"]
            .map(|kind| format!("netlink_messages_total{{type=\"{kind}\"}}"))
            .map(|sample| daemon.metric(&sample).unwrap().unwrap())
    };
    assert_eq!(spoofed(), 0.0);
    // The kernel itself is done: duplicate address detection ends a second after a device is up.
    let mut others_before = others();
    daemon
        .wait("a kernel that says nothing for two seconds", Duration::from_secs(20), || {
            std::thread::sleep(Duration::from_secs(2));
            let now = others();
            let quiet = now == others_before;
            others_before = now;
            quiet.then_some(())
        })
        .unwrap();
    // RTM_DELROUTE with an empty body, a length that lies, and noise.
    let mut lie = vec![0xff; 32];
    lie[0..4].copy_from_slice(&16u32.to_ne_bytes());
    let del_route = [&32u32.to_ne_bytes()[..], &[25, 0, 0, 0], &[0; 24]].concat();
    let datagrams = [del_route, lie, vec![0x5a; 3]];
    netns
        .enter(|| {
            let mut socket = Socket::new(NETLINK_ROUTE).unwrap();
            socket.bind_auto().unwrap();
            for datagram in &datagrams {
                socket.send_to(datagram, &SocketAddr::new(port, 0), 0).unwrap();
            }
        })
        .unwrap();
    wait_until(&daemon, "three spoofed messages", SOON, || spoofed() == 3.0);
    assert_eq!(others(), others_before, "no message of the kernel's was counted");
    assert_eq!(daemon.metric("netlink_decode_errors_total").unwrap(), Some(0.0));
    let after = daemon.state().unwrap();
    for field in ["address", "device", "generation", "api_urls"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    // And the watch goes on.
    crate::follow(
        &daemon,
        &netns,
        "a real change after spoofed messages",
        None,
        "addr del 10.0.0.2/24 dev n0",
    );
}
