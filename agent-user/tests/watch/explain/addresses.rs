//! Addresses that may not be used yet, not any more, or only as a last resort.

use std::thread::sleep;
use std::time::{Duration, Instant};

use testbed::netns::Netns;
use testbed::root_test;

use crate::machine::{assert_address, assert_refused, explain, explain_api, prepared, two_nics};

const API: &str = "fd00::1";

/// Waits until `ip -6 addr show dev DEVICE` holds all the words in one line.
fn wait_address(netns: &Netns, device: &str, words: &[&str]) -> bool {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(5) {
        let shown = netns.ip(&format!("-6 addr show dev {device}")).unwrap();
        if shown.lines().any(|line| words.iter().all(|word| line.contains(word))) {
            return true;
        }
        sleep(Duration::from_millis(50));
    }
    false
}

#[test]
fn a_tentative_address_waits() {
    root_test!();
    let netns = two_nics();
    for (name, value) in [("accept_dad", "1"), ("dad_transmits", "100")] {
        netns.sysctl(&format!("net/ipv6/conf/n0/{name}"), value).unwrap();
    }
    netns.ip("addr add fd00::2/64 dev n0").unwrap();
    let explained = explain_api(&netns, API);
    assert_refused(&explained, "tentative");
    let chosen = explained.candidate("source").clone();
    println!("with nothing but a tentative address the kernel's source is {chosen}");
    // A second one without the check is taken.
    netns.ip("addr add fd00::3/64 dev n0 nodad").unwrap();
    assert_address(&explain_api(&netns, API), "fd00::3", Some("n0"));
}

#[test]
fn a_duplicate_address_is_refused() {
    root_test!();
    let (netns, neighbour) = (two_nics(), Netns::new().unwrap());
    netns.join("wire0", &neighbour, "wire1").unwrap();
    neighbour.ip("addr add fd00::2/64 dev wire1 nodad").unwrap();
    netns.ip("addr add fd00::2/64 dev wire0").unwrap();
    assert!(wait_address(&netns, "wire0", &["fd00::2", "dadfailed"]));
    assert_refused(&explain_api(&netns, API), "dad_failed");
    let flags = ["--ironic.api-url", "http://[2001:db8::1]:6385", "--advertise.interface", "wire0"];
    assert_refused(&explain(&netns, &flags), "dad_failed");
}

#[test]
fn a_deprecated_address_is_a_last_resort() {
    root_test!();
    let netns = two_nics();
    netns.ip("addr add fd00::2/64 dev n0 nodad preferred_lft 0").unwrap();
    let explained = explain_api(&netns, API);
    assert_address(&explained, "fd00::2", Some("n0"));
    assert_eq!(explained.candidate("reason"), "deprecated");
    assert_eq!(explained.candidate("accepted"), true);
    netns.ip("addr add fd00::3/64 dev n0 nodad").unwrap();
    let explained = explain_api(&netns, API);
    assert_address(&explained, "fd00::3", Some("n0"));
    assert!(explained.candidate("reason").is_null());
}

#[test]
fn a_deprecated_source_of_a_route_gives_way_to_a_lasting_address() {
    root_test!();
    let netns = prepared(
        two_nics(),
        "addr add fd00::2/64 dev n0 nodad preferred_lft 0
             addr add fd00::3/64 dev n0 nodad
             -6 route add 2001:db8::/32 via fd00::1 dev n0 src fd00::2
             addr add 10.0.0.2/24 dev n0 preferred_lft 0
             addr add 10.0.0.3/24 dev n0",
    );
    assert_address(&explain_api(&netns, "2001:db8::1"), "fd00::3", Some("n0"));
    assert_address(&explain_api(&netns, "10.0.0.1"), "10.0.0.3", Some("n0"));
}

#[test]
fn a_temporary_address_is_a_last_resort() {
    root_test!();
    let netns = two_nics();
    netns.sysctl("net/ipv6/conf/n0/use_tempaddr", "2").unwrap();
    netns.ip("addr add fd00::2/64 dev n0 mngtmpaddr nodad valid_lft 1000 preferred_lft 500").unwrap();
    if !wait_address(&netns, "n0", &["temporary"]) {
        assert!(std::env::var_os("CI").is_none(), "no temporary address in CI");
        eprintln!("SKIP: this kernel makes no temporary address out of mngtmpaddr");
        return;
    }
    // Duplicate address detection of the temporary address ends after a second or two; then the kernel prefers it.
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(5)
        && netns.ip("-6 addr show dev n0 temporary").unwrap().contains("tentative")
    {
        sleep(Duration::from_millis(50));
    }
    let (source, _) = crate::machine::ip_says(&netns, API, 6385);
    assert_ne!(source, "fd00::2", "the kernel's own choice is the temporary one");
    let explained = explain_api(&netns, API);
    assert_address(&explained, "fd00::2", Some("n0"));
    assert_eq!(explained.candidate("source"), source.as_str());
    assert_eq!(explained.candidate("reason"), "temporary");
    assert_eq!(explained.candidate("accepted"), false);
    // Nothing else left: taken, and said so.
    netns.ip("-6 rule add from fd00::2 prohibit").unwrap();
    let explained = explain_api(&netns, API);
    assert_address(&explained, &source, Some("n0"));
    assert_eq!(explained.candidate("accepted"), true);
}
