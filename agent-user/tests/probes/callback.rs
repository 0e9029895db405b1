//! The conductor's call-back: seen by eBPF, and by sock_diag where eBPF is missing.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::place::*;
use testbed::daemon::Daemon;
use testbed::root_test;

const CONNECTIONS: &str = "callback_connections_total";
const PORT: u16 = 9999;

fn connections(daemon: &Daemon) -> f64 {
    daemon.metric(CONNECTIONS).unwrap().unwrap()
}

/// A connection from the router to the node, closed by it after a moment.
fn call_back(place: &Place, family: usize) -> SocketAddr {
    let stream = place.router.enter(|| TcpStream::connect((NODE[family], PORT)).unwrap()).unwrap();
    let from = stream.local_addr().unwrap();
    std::thread::sleep(Duration::from_millis(50));
    from
}

/// The agent: accepts and keeps until the other side closes, then closes too.
fn agent(place: &Place) -> TcpListener {
    place.node.enter(|| TcpListener::bind(("::", PORT)).unwrap()).unwrap()
}

/// Connections of the node to itself, by every address.
fn from_inside(place: &Place) {
    for address in ["127.0.0.1", "::1", NODE[0], NODE[1]] {
        place.node.enter(|| TcpStream::connect((address, PORT)).unwrap()).unwrap();
    }
    // By another local address than the one that is called.
    place.node.ip("addr add 10.78.0.6/32 dev lo").unwrap();
    place.node.ip("route add local 10.78.0.5/32 dev wire table local src 10.78.0.6").unwrap_or_default();
    place.node.enter(|| TcpStream::connect(("10.78.0.6", PORT)).unwrap()).unwrap();
}

/// The flag for the family of the advertised address.
const FAMILY: [&str; 2] = ["--advertise.family=inet", "--advertise.family=inet6"];

/// `ours`: the family of the advertised address. What comes by the other one proves nothing for it.
fn proves(place: &Place, daemon: &Daemon, source: &str, ours: usize) {
    let listener = agent(place);
    assert_eq!(probes(daemon)["callback"]["source"], source);
    from_inside(place);
    let mut count = 0_u8;
    for family in [ours, 1 - ours, ours] {
        let from = call_back(place, family);
        if family == ours {
            count += 1;
            wait_until(daemon, "it is counted", SOON, || connections(daemon) >= f64::from(count));
            assert_eq!(connections(daemon), f64::from(count));
            let state = probes(daemon);
            assert_eq!(state["callback"]["last_connection_peer"], from.to_string(), "{state}");
            assert_eq!(state["callback"]["connections"], count);
        }
        drop(listener.accept().unwrap());
    }
    let at = daemon.metric("callback_last_connection_timestamp_seconds").unwrap().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((0.0..10.0).contains(&(now - at)), "{at} {now}");
    let page = daemon.get("/").unwrap().text();
    let from = format!("last {}", ["10.78.0.1:", "[fd78::1]:"][ours]);
    assert_names(&page, &["Other machines reached the advertised port ", &from]);
}

#[test]
fn sock_diag_proves_it_without_ebpf() {
    root_test!();
    for ours in FAMILIES {
        let place = Place::new();
        let daemon = place.daemon(&["--probe.connect=off", FAMILY[ours]]);
        for probe in ["connect", "connect_call", "callback", "callback_refused"] {
            assert_eq!(reason(&daemon, probe).as_deref(), Some("switched_off"));
        }
        proves(&place, &daemon, "sock_diag", ours);
        short_ones(&place, &daemon, ours);
    }
}

/// Connections that the conductor opens and closes at once leave nothing to look at: the kernel announces their end.
fn short_ones(place: &Place, daemon: &Daemon, ours: usize) {
    let listener = agent(place);
    let before = connections(daemon);
    for _ in 0..8 {
        let conductor = place.router.enter(|| TcpStream::connect((NODE[ours], PORT)).unwrap()).unwrap();
        let (agent, _) = listener.accept().unwrap();
        drop(conductor);
        assert_eq!((&agent).read(&mut [0]).unwrap(), 0);
    }
    wait_until(daemon, "each is counted", SOON, || connections(daemon) >= before + 8.0);
    assert_eq!(connections(daemon), before + 8.0);
}

#[test]
#[cfg(feature = "ebpf")]
fn ebpf_proves_it_and_tells_who_was_refused() {
    root_test!();
    for ours in FAMILIES {
        let place = Place::new();
        let daemon = place.daemon(&[FAMILY[ours]]);
        assert_eq!(reason(&daemon, "callback"), None);
        let sees_refusals = match reason(&daemon, "callback_refused") {
            None => true,
            Some(reason) => {
                assert_eq!(reason, "no_tracepoint", "before Linux 6.10");
                false
            }
        };
        let refused = || daemon.metric("callback_refused_total").unwrap().unwrap();
        for family in [1 - ours, ours] {
            let to = SocketAddr::new(NODE[family].parse().unwrap(), PORT);
            let errno = place.router.enter(|| attempt(c"conductor", to, How::Blocking)).unwrap().errno;
            assert_eq!(errno, 111);
        }
        if sees_refusals {
            wait_until(&daemon, "it is counted", SOON, || refused() >= 1.0);
            assert_eq!(refused(), 1.0);
            let peer = probes(&daemon)["callback"]["last_refused_peer"].as_str().unwrap().to_owned();
            assert_eq!(
                peer.parse::<SocketAddr>().unwrap().ip(),
                ROUTER[ours].parse::<std::net::IpAddr>().unwrap()
            );
        }
        // Another port, and the node itself.
        let other = SocketAddr::new(NODE[ours].parse().unwrap(), PORT + 1);
        place.router.enter(|| attempt(c"conductor", other, How::Blocking)).unwrap();
        place.attempt(c"itself", "127.0.0.1:9999".parse().unwrap(), How::Blocking);
        proves(&place, &daemon, "ebpf", ours);
        assert_eq!(refused(), if sees_refusals { 1.0 } else { 0.0 });
    }
}

#[test]
#[cfg(not(feature = "ebpf"))]
fn a_binary_without_the_probes_says_so() {
    root_test!();
    let place = Place::new();
    let daemon = place.daemon(&["--probe.connect=on"]);
    assert_eq!(reason(&daemon, "connect").as_deref(), Some("not_built"));
    let ready = daemon.get("/-/ready").unwrap();
    assert_eq!(ready.status, 200);
    assert!(ready.text().contains("built without the eBPF probes"), "{}", ready.text());
}
