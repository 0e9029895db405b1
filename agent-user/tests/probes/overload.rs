//! More failures than anybody can read: what is lost is counted.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::place::*;
use testbed::root_test;

const MADE: u32 = 200_000;
const THREADS: u32 = 4;

#[test]
fn lost_and_reported_together_are_all() {
    root_test!();
    let place = Place::alone();
    let mut daemon = place.daemon(&[]);
    let sees_calls = sees_calls(&daemon);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for index in 0..THREADS {
            let place = &place;
            scope.spawn(move || {
                // Half of them end before their SYN, where that is seen, half after it.
                let to = if sees_calls && index % 2 == 0 { PROHIBITED[0] } else { NODE[0] };
                let peer = SocketAddr::new(to.parse().unwrap(), 4000);
                place.node.enter(|| {
                    for _ in 0..MADE / THREADS {
                        assert_ne!(attempt(c"storm", peer, How::Blocking).errno, 0);
                    }
                })
            });
        }
    });
    let took = started.elapsed();
    let lost = || daemon.metric("probe_events_lost_total").unwrap().unwrap();
    let sum = || failures_total(&daemon) + lost();
    let all = f64::from(MADE);
    wait_until(&daemon, "all are reported or lost", Duration::from_secs(30), || sum() >= all);
    std::thread::sleep(Duration::from_millis(300));
    println!("{MADE} failed connects in {took:.1?}: {} reported, {} lost", failures_total(&daemon), lost());
    assert_eq!(sum(), all);
    let health = Instant::now();
    assert_eq!(daemon.get("/-/healthy").unwrap().status, 200);
    assert!(health.elapsed() < Duration::from_secs(1));
    let lines = daemon.log().matches("a connect failed").count();
    assert!(lines <= 50, "{lines} lines of log");
    assert!(daemon.terminate().unwrap().0.success());
}

/// The probes miss the start of a connect that is under way when they are attached; its end then tells them nothing.
#[test]
fn a_connect_under_way_at_the_start_is_neither_reported_nor_counted_as_lost() {
    root_test!();
    let place = Place::new();
    let peer = SocketAddr::new(SILENT[0].parse().unwrap(), 4001);
    // It ends after 1 + 2 + 4 s.
    place.node.sysctl("net/ipv4/tcp_syn_retries", "2").unwrap();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| place.attempt(c"early", peer, How::Blocking));
        std::thread::sleep(Duration::from_millis(300));
        let daemon = place.daemon(&[]);
        assert_eq!(reason(&daemon, "connect"), None);
        assert!(!call.is_finished(), "it ended before the probes were there");
        assert_eq!(call.join().unwrap().errno, 110);
        let next = SocketAddr::new(ROUTER[0].parse().unwrap(), 4002);
        place.attempt(c"next", next, How::Blocking);
        wait_until(&daemon, "the next failure", SOON, || failures_total(&daemon) >= 1.0);
        assert_eq!((failures_to(&daemon, peer).len(), failures_to(&daemon, next).len()), (0, 1));
        assert_eq!(daemon.metric("probe_events_lost_total").unwrap(), Some(0.0));
    });
}
