//! Times against the real kernel that `cargo lab bench` sets beside each other: `cargo bench --bench kernel -- WHAT
//! ROUNDS` prints them as one JSON object, a list of microseconds for each name. Needs root, for network namespaces.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs
)]

mod address;
mod decision;
mod growth;
mod heartbeat;
mod ip_monitor;
mod question;

use std::collections::BTreeMap;

/// Microseconds by name.
type Times = BTreeMap<&'static str, Vec<f64>>;

fn main() {
    // Cargo puts its own word --bench before ours.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (measure, rounds): (fn(usize) -> Times, _) = match words[..] {
        ["question", rounds] => (question::measure, rounds),
        ["decision", rounds] => (decision::measure, rounds),
        ["heartbeat", rounds] => (heartbeat::measure, rounds),
        ["growth", rounds] => (growth::measure, rounds),
        _ => {
            eprintln!(
                "nothing measured: say question, decision, heartbeat or growth and how many rounds, as in: question 9"
            );
            return;
        }
    };
    if testbed::needs_root() {
        println!("{}", serde_json::to_string(&measure(rounds.parse().unwrap())).unwrap());
    }
}

fn microseconds(time: std::time::Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
