//! The running daemon on the real kernel: every change is seen by itself, soon, and whatever else happens.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs
)]

#[path = "../netns_setup/mod.rs"]
mod netns_setup;

mod bursts;
mod changes;
mod devices;
mod in_process;
mod names;
mod pinned;
mod storm;

use std::time::{Duration, Instant};

use agent_user::watch::WINDOW;
use testbed::daemon::Daemon;

/// How soon a change must be seen, from before the command that makes it (its start included) to `/state`.
const SOON: Duration = Duration::from_secs(1);

/// Makes a change after some quiet, and waits for the address (`None`: for its loss) that must follow.
fn follow(daemon: &Daemon, what: &str, address: Option<&str>, change: impl FnOnce()) {
    std::thread::sleep(WINDOW * 2);
    let started = Instant::now();
    change();
    daemon.wait_address(address, SOON).unwrap();
    let took = started.elapsed();
    println!("{what}: seen after {} ms", took.as_millis());
    assert!(took < SOON, "{what}: {took:?}");
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
