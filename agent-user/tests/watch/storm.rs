//! 200,000 route changes against a receive buffer that is far too small: messages are lost, the decision is not.

use std::time::{Duration, Instant};

use testbed::netns::Netns;
use testbed::root_test;
use testbed::site::{Directory, open_files, resident};

use crate::in_process::{Setup, watching};
use crate::machine::{addressed, batch, explain_api, start_at};
use crate::{SOON, print_decision_seconds, route_questions};

const API: &str = "203.0.113.1";
/// Each half of the storm changes so many.
const ROUTES: u32 = 100_000;
/// In bytes; the kernel doubles it. A message of a route takes some 700.
const TINY: usize = 4096;
/// How much the resident memory may move, in KiB: pages of the allocator, no memory of routes (100,000 of them
/// would take 10 MiB at 100 bytes each).
const FLAT: u64 = 3 * 1024;
/// The same for this process, which other tests share at the same time: still less than 100,000 routes would take.
const SHARED: u64 = 8 * 1024;

/// The two halves, each with the address that is right after it: every route added and the API's moved to the other
/// NIC, every route deleted and the API's moved back.
fn halves(files: &Directory) -> [(String, &'static str); 2] {
    [("add", "via 10.1.0.1 dev m0", "10.1.0.2"), ("del", "via 10.0.0.1 dev n0", "10.0.0.2")].map(
        |(verb, way, address)| {
            let lines = (0..ROUTES).map(|n| {
                format!("route {verb} 198.{}.{}.{}/32 dev n0", 18 + (n >> 16), (n >> 8) & 255, n & 255)
            });
            let last = format!("route replace 203.0.113.0/24 {way}");
            (batch(files, verb, lines.chain([last])), address)
        },
    )
}

/// The `Drops` of all netlink sockets inside: messages that the kernel threw away (`/proc/net/netlink`).
fn kernel_drops(netns: &Netns) -> u64 {
    let output = netns.command("cat").arg("/proc/net/netlink").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().skip(1);
    lines.map(|line| line.split_whitespace().nth(8).unwrap().parse::<u64>().unwrap()).sum()
}

#[test]
fn what_a_tiny_buffer_loses_costs_no_decision() {
    root_test!();
    let netns = addressed();
    let files = Directory::new("watch");
    let halves = halves(&files);
    let setup = Setup { receive_buffer: Some(TINY), ..Setup::default() };
    watching(&netns, setup, |watched| {
        let metrics = &watched.metrics;
        watched.wait_address("10.0.0.2", Duration::from_secs(5));
        assert_eq!(metrics.netlink_overruns.get(), 0);
        let before = resident(std::process::id());
        for (batch, address) in halves {
            let (overruns, drops) = (metrics.netlink_overruns.get(), kernel_drops(&netns));
            let started = Instant::now();
            netns.ip(&batch).unwrap();
            let storm = started.elapsed();
            let took = watched.wait_address(address, SOON);
            let overruns = metrics.netlink_overruns.get() - overruns;
            let drops = kernel_drops(&netns) - drops;
            println!(
                "{ROUTES} changes in {} ms, buffer of {TINY} bytes: {overruns} overruns, {drops} messages dropped by the \
                 kernel, right {} ms after the last change, RSS {before} -> {} KiB",
                storm.as_millis(),
                took.as_millis(),
                resident(std::process::id())
            );
            assert!(overruns > 0 && drops > 0, "nothing was lost: this shows nothing");
            assert_eq!(explain_api(&netns, API).text("address"), Some(address));
        }
        assert!(
            resident(std::process::id()) < before + SHARED,
            "{before} -> {} KiB",
            resident(std::process::id())
        );
    });
}

#[test]
fn the_daemon_stays_small_in_a_storm() {
    root_test!();
    let netns = addressed();
    let files = Directory::new("watch");
    let daemon = start_at(&netns, &["--ironic.api-url", "http://203.0.113.1:6385"], Some("10.0.0.2"));
    daemon.get("/metrics").unwrap();
    let pid = daemon.pid();
    let before = resident(pid);
    for (batch, address) in halves(&files) {
        let asked = route_questions(&daemon);
        let started = Instant::now();
        netns.ip(&batch).unwrap();
        let storm = started.elapsed();
        let ended = Instant::now();
        daemon.wait_address(Some(address), SOON).unwrap();
        let took = ended.elapsed();
        let value = |sample: &str| daemon.metric(sample).unwrap().unwrap();
        println!(
            "{ROUTES} changes in {} ms, the daemon: {} route messages and {} overruns in all, asked {} times, right {} ms \
             after the last change, RSS {before} -> {} KiB, {} descriptors",
            storm.as_millis(),
            value("netlink_messages_total{type=\"route\"}"),
            value("netlink_overruns_total"),
            (route_questions(&daemon) - asked) / 2.0,
            took.as_millis(),
            resident(pid),
            open_files(&daemon),
        );
        assert!(took < SOON, "{took:?}");
        assert!(resident(pid) < before + FLAT, "{before} -> {} KiB", resident(pid));
    }
    print_decision_seconds(&daemon, "storm");
}
