//! More failures than anybody can read: what is lost is counted.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::place::*;
use testbed::root_test;

const MADE: u32 = 200_000;
const THREADS: u32 = 4;

#[test]
fn lost_and_told_together_are_all() {
    root_test!();
    let place = Place::alone();
    let mut daemon = place.daemon(&[]);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for index in 0..THREADS {
            let place = &place;
            scope.spawn(move || {
                // Half of them end before their SYN, half after it.
                let to = if index % 2 == 0 { NODE[0] } else { PROHIBITED[0] };
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
    wait_until(&daemon, "all are told or lost", Duration::from_secs(30), || sum() >= all);
    std::thread::sleep(Duration::from_millis(300));
    println!("{MADE} failed connects in {took:.1?}: {} told, {} lost", failures_total(&daemon), lost());
    assert_eq!(sum(), all);
    let health = Instant::now();
    assert_eq!(daemon.get("/-/healthy").unwrap().status, 200);
    assert!(health.elapsed() < Duration::from_secs(1));
    let lines = daemon.log().matches("a connect failed").count();
    assert!(lines <= 50, "{lines} lines of log");
    assert!(daemon.terminate().unwrap().0.success());
}
