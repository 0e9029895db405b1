//! The real kernel, each machine in a network namespace of its own: what `explain` answers, and the running daemon, which
//! sees every change by itself, soon, and whatever else happens.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, missing_docs)]

mod bursts;
mod changes;
mod devices;
mod explain;
mod getaddrinfo;
mod in_process;
mod kept;
mod local;
mod machine;
mod names;
mod pinned;
mod storm;

use std::time::{Duration, Instant};

use ipa_sidecar::inside::WINDOW;
use testbed::daemon::Daemon;
use testbed::netns::Netns;

/// How soon a change must be seen, from before the command that makes it (its start included) to `/state`.
const SOON: Duration = Duration::from_secs(1);

/// Makes a change after some quiet, and waits for the address (`None`: for its loss) that must follow.
fn follow_change(daemon: &Daemon, what: &str, address: Option<&str>, change: impl FnOnce()) {
    std::thread::sleep(WINDOW * 2);
    let started = Instant::now();
    change();
    daemon.wait_address(address, SOON).unwrap();
    let took = started.elapsed();
    println!("{what}: seen after {} ms", took.as_millis());
    assert!(took < SOON, "{what}: {took:?}");
}

/// The same with a change by `ip`.
fn follow(daemon: &Daemon, netns: &Netns, what: &str, address: Option<&str>, words: &str) {
    follow_change(daemon, what, address, || drop(netns.ip(words).unwrap()));
}

/// Questions about routes. Each time that the daemon asks it puts two for each address of the API that has a route:
/// which way, and again from the source that the first answer named.
fn route_questions(daemon: &Daemon) -> f64 {
    ["ok", "error"]
        .map(|result| format!("netlink_queries_total{{query=\"route\",result=\"{result}\"}}"))
        .iter()
        .map(|sample| daemon.metric(sample).unwrap().unwrap())
        .sum()
}

/// Prints the daemon's own measure: from the first event of a burst to the decision.
fn print_decision_seconds(daemon: &Daemon, what: &str) {
    let value = |name: &str| daemon.metric(name).unwrap().unwrap();
    let (sum, count) = (value("advertise_decision_seconds_sum"), value("advertise_decision_seconds_count"));
    assert!(count > 0.0, "{what}: no event was answered");
    println!("{what}: {count} bursts of events, {:.1} ms on average to the decision", sum / count * 1000.0);
}
