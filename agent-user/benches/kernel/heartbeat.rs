//! From an address change in the kernel to the heartbeat with the new address, where Ironic holds no URL yet.
//!
//! The node has two wires: over `n0` it reaches Ironic, and it advertises the address of `eth0.77`. That address goes
//! away while Ironic answers the lookup, so that the daemon has its token and nothing to say; the next address is the
//! change that is measured.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use ipa_sidecar::inside::WINDOW;
use testbed::daemon::Daemon;
use testbed::netns::Netns;
use testbed::stand_in::{Behaviour, Fault, Path, StandIn};

use super::address::{Changer, one_nic};
use super::ip_monitor::IpMonitor;
use super::{Times, microseconds};

const SOON: Duration = Duration::from_secs(20);
/// Ironic takes so long for the lookup.
const LATE: Duration = Duration::from_millis(300);
/// How often it is looked whether the heartbeat is there.
const POLL: Duration = Duration::from_micros(20);
const FLAGS: [&str; 5] = [
    "--mode=agent",
    "--ironic.api-url=http://10.77.0.1:6385",
    "--advertise.interface=eth0.77",
    "--agent.without-listener",
    "--probe.connect=off",
];

pub fn measure(rounds: usize) -> Times {
    let (node, conductor) = (Arc::new(one_nic()), Netns::new().unwrap());
    node.join("wire", &conductor, "ironic").unwrap();
    conductor.ip("addr add 10.77.0.1/24 dev ironic").unwrap();
    node.ip_lines(
        "addr add 10.77.0.2/24 dev wire
         link set n0 down
         link set n0 name eth0.77
         link set eth0.77 up",
    )
    .unwrap();
    let listener = conductor.enter(|| TcpListener::bind("10.77.0.1:6385").unwrap()).unwrap();
    let ironic = StandIn::start(listener, Behaviour::default()).unwrap();
    let changer = Changer::new(&node, "eth0.77");
    let monitor = IpMonitor::start(&node);
    let mut times = Times::new();
    for _ in 0..rounds {
        let (beat, printed) = round(&node, &ironic, &changer, &monitor);
        times.entry("heartbeat").or_default().push(beat);
        times.entry("ip_monitor").or_default().push(printed);
    }
    times
}

fn round(node: &Arc<Netns>, ironic: &StandIn, changer: &Changer, monitor: &IpMonitor) -> (f64, f64) {
    let (first, second) = (Ipv4Addr::new(10, 78, 0, 5), Ipv4Addr::new(10, 78, 0, 6));
    ironic.power_cycle();
    ironic.push_fault(Path::Lookup, Fault::Late(LATE));
    changer.add(first);
    let before = ironic.requests().len();
    let mut daemon = Daemon::start(env!("CARGO_BIN_EXE_ipa-sidecar"), node, &FLAGS).unwrap();
    let lookup = || ironic.requests().iter().skip(before).any(|request| request.path() == "/v1/lookup");
    daemon.wait("the lookup", SOON, || lookup().then_some(())).unwrap();
    changer.delete(first);
    daemon.wait_log("looked up", SOON).unwrap();
    daemon.wait_state("no address", SOON, |state| state["agent"]["phase"] == "awaiting_address").unwrap();
    monitor.forget();
    sleep(WINDOW * 3);
    let beats = ironic.heartbeats();
    let changed = changer.add(second);
    while ironic.heartbeats() == beats {
        assert!(changed.elapsed() < SOON, "{}", daemon.log());
        sleep(POLL);
    }
    let beat = changed.elapsed();
    assert_eq!(ironic.agent_url().as_deref(), Some("http://10.78.0.6:9999"));
    let printed = monitor.printed("10.78.0.6") - changed;
    daemon.terminate().unwrap();
    changer.delete(second);
    (microseconds(beat), microseconds(printed))
}
