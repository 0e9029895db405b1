//! Every way in which a connect can fail: what the application saw, and what the probes tell of it.

use std::ffi::CStr;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Barrier;
use std::time::Duration;

use crate::place::*;
use testbed::root_test;

const fn same(errno: i32, name: &str) -> [(i32, &str); 2] {
    [(errno, name); 2]
}

/// A name, the peers, what IPv4 and IPv6 end with, where the errno comes from, and the least seconds that it takes.
type Case = (&'static CStr, [&'static str; 2], [(i32, &'static str); 2], &'static str, u64);

const CASES: [Case; 7] = [
    (c"refused", ROUTER, same(111, "ECONNREFUSED"), "socket", 0),
    (c"no-route", NO_ROUTE, same(101, "ENETUNREACH"), "call", 0),
    (c"unreachable", UNREACHABLE_HERE, same(113, "EHOSTUNREACH"), "call", 0),
    (c"blackhole", BLACKHOLE, same(22, "EINVAL"), "call", 0),
    (c"prohibit", PROHIBITED, same(13, "EACCES"), "call", 0),
    (c"icmp", UNREACHABLE_BEHIND, [(113, "EHOSTUNREACH"), (101, "ENETUNREACH")], "socket", 0),
    (c"silence", SILENT, same(110, "ETIMEDOUT"), "socket", 2),
];

#[test]
fn every_failure_is_reported_as_the_application_saw_it() {
    root_test!();
    let (place, daemon) = Place::probed();
    for probe in ["connect", "callback"] {
        assert_eq!(reason(&daemon, probe), None);
    }
    let sees_calls = sees_calls(&daemon);
    println!(
        "{:12} {:5} {:12} {:>4} {:>9}  {:13} {:9} {:>9}",
        "case", "", "", "saw", "after", "event", "from", "after"
    );
    let (mut port, mut reported) = (2000, 0.0);
    for (case, to, errnos, source, at_least) in CASES {
        for family in FAMILIES {
            for how in [How::Blocking, How::NonBlocking] {
                port += 1;
                let peer = SocketAddr::new(to[family].parse().unwrap(), port);
                let seen = place.attempt(case, peer, how);
                if source == "call" && !sees_calls {
                    assert_eq!(seen.errno, errnos[family].0, "{:?}", case);
                    continue; // The total of those that follow shows that it was not reported.
                }
                let failure = failure_to(&daemon, peer);
                let after = Duration::from_secs_f64(failure["duration_seconds"].as_f64().unwrap());
                println!(
                    "{:12} {:5} {:12} {:4} {:>9.3?}  {:13} {:9} {:>9.3?}",
                    case.to_str().unwrap(),
                    ["IPv4", "IPv6"][family],
                    format!("{how:?}"),
                    seen.errno,
                    seen.took,
                    failure["errno"].as_str().unwrap(),
                    failure["errno_source"].as_str().unwrap(),
                    after,
                );
                let (errno, name) = errnos[family];
                assert_eq!(seen.errno, errno, "{:?}", case);
                // The one exception: an ICMP answer that arrives inside a connect of IPv4 is kept apart from the socket's
                // error (sk_err_soft), and asking for SO_ERROR takes it away: then the socket is closed without one.
                if (case, family, how) == (c"icmp", 0, How::NonBlocking) && failure["errno"] != name {
                    assert_eq!(failure["errno"], "abandoned", "{failure}");
                } else {
                    assert_eq!(failure["errno"], name, "{failure}");
                    assert_eq!(failure["errno_source"], source, "{failure}");
                }
                assert_eq!(failure["pid"], std::process::id(), "{failure}");
                assert_eq!(failure["comm"], case.to_str().unwrap(), "{failure}");
                assert_eq!(failure["uid"], 0, "{failure}");
                assert!(failure["network_namespace"].is_u64(), "{failure}");
                // Reported by the kernel, before the application's thread ran again.
                assert!(
                    after <= seen.took && after >= Duration::from_secs(at_least),
                    "{after:?} of {:?}",
                    seen.took
                );
                assert!(seen.took - after < Duration::from_secs(2), "{after:?} of {:?}", seen.took);
                reported += 1.0;
                assert_eq!(failures_total(&daemon), reported, "one event each: {:#}", probes(&daemon));
            }
        }
    }
    assert_eq!(daemon.metric("probe_events_lost_total").unwrap(), Some(0.0));
}

#[test]
fn what_is_no_failed_connect_is_not_reported() {
    root_test!();
    let (place, daemon) = Place::probed();
    for (family, address) in ROUTER.iter().enumerate() {
        let listener = place.router.enter(|| TcpListener::bind((*address, 7000))).unwrap().unwrap();
        for how in [How::Blocking, How::NonBlocking] {
            assert_eq!(place.attempt(c"good", listener.local_addr().unwrap(), how).errno, 0);
        }
        // Not TCP.
        let errno = place.node.enter(|| {
            let any: SocketAddr = ["0.0.0.0:0", "[::]:0"][family].parse().unwrap();
            UdpSocket::bind(any).unwrap().connect((NO_ROUTE[family], 53)).unwrap_err().raw_os_error()
        });
        assert_eq!(errno.unwrap(), Some(101));
        // In another network namespace.
        let peer = SocketAddr::new(NODE[family].parse().unwrap(), 7001);
        let refused = place.router.enter(|| attempt(c"elsewhere", peer, How::Blocking)).unwrap();
        assert_eq!(refused.errno, 111);
        let peer = SocketAddr::new(NO_ROUTE[family].parse().unwrap(), 7001);
        assert_eq!(place.router.enter(|| attempt(c"elsewhere", peer, How::Blocking)).unwrap().errno, 101);
    }
    // What comes after all of them is reported: they were not just late.
    let last = SocketAddr::new(ROUTER[0].parse().unwrap(), 7002);
    place.attempt(c"last", last, How::Blocking);
    assert_eq!(failure_to(&daemon, last)["comm"], "last");
    assert_eq!(failures_total(&daemon), 1.0);
}

#[test]
fn the_api_is_distinguished_from_others_and_a_caller_that_gives_up_from_errors() {
    root_test!();
    let (place, daemon) = Place::probed();
    for family in FAMILIES {
        let api = SocketAddr::new(ROUTER[family].parse().unwrap(), 6385);
        place.attempt(c"to-the-api", api, How::Blocking);
        assert_eq!(failure_to(&daemon, api)["target"], "ironic");
        let other = SocketAddr::new(ROUTER[family].parse().unwrap(), 6386);
        place.attempt(c"elsewhere", other, How::Blocking);
        assert_eq!(failure_to(&daemon, other)["target"], "other");
    }
    for (target, family) in [("ironic", "inet"), ("ironic", "inet6"), ("other", "inet"), ("other", "inet6")] {
        let sample = format!(
            "connect_failures_total{{errno=\"ECONNREFUSED\",family=\"{family}\",target=\"{target}\"}}"
        );
        assert_eq!(daemon.metric(&sample).unwrap(), Some(1.0), "{sample}");
    }
    let silent = SocketAddr::new(SILENT[0].parse().unwrap(), 6387);
    let gave_up = place.node.enter(|| {
        rustix::thread::set_name(c"impatient").unwrap();
        TcpStream::connect_timeout(&silent, Duration::from_millis(300)).unwrap_err().kind()
    });
    assert_eq!(gave_up.unwrap(), std::io::ErrorKind::TimedOut);
    let failure = failure_to(&daemon, silent);
    assert_eq!(
        (&failure["errno"], &failure["comm"]),
        (&"abandoned".into(), &"impatient".into()),
        "{failure}"
    );
    let after = failure["duration_seconds"].as_f64().unwrap();
    assert!((0.3..0.8).contains(&after), "{failure}");
    daemon.wait_log("a connect to the Ironic API failed", SOON).unwrap();
}

#[test]
fn a_process_that_lives_for_its_connect_only_is_named() {
    root_test!();
    let (place, daemon) = Place::probed();
    let mut child = place.node.command("bash");
    child.args(["-c", "exec 3<>/dev/tcp/10.78.0.1/7100"]).stderr(std::process::Stdio::null());
    let mut child = child.spawn().unwrap();
    let pid = child.id();
    assert!(!child.wait().unwrap().success());
    let failure = failure_to(&daemon, "10.78.0.1:7100".parse().unwrap());
    assert_eq!((&failure["pid"], &failure["comm"]), (&pid.into(), &"bash".into()), "{failure}");
    assert_eq!(failure["errno"], "ECONNREFUSED");
}

#[test]
fn two_hundred_threads_at_once() {
    root_test!();
    const THREADS: u16 = 200;
    let (place, daemon) = Place::probed();
    let sees_calls = sees_calls(&daemon);
    let barrier = Barrier::new(usize::from(THREADS));
    std::thread::scope(|scope| {
        for index in 0..THREADS {
            let (place, barrier) = (&place, &barrier);
            scope.spawn(move || {
                let family = usize::from(index % 2);
                // Half of them fail before their SYN, half after.
                let to = if index % 4 < 2 { ROUTER } else { NO_ROUTE };
                let peer = SocketAddr::new(to[family].parse().unwrap(), 8000 + index);
                place.node.enter(|| {
                    barrier.wait();
                    attempt(c"many", peer, How::Blocking)
                })
            });
        }
    });
    let seen = if sees_calls { THREADS } else { THREADS / 2 };
    wait_until(&daemon, "all of them", SOON, || failures_total(&daemon) == f64::from(seen));
    let seen_errnos = [("ECONNREFUSED", "inet"), ("ENETUNREACH", "inet6")];
    for (errno, family) in seen_errnos.into_iter().take(if sees_calls { 2 } else { 1 }) {
        let sample =
            format!("connect_failures_total{{errno=\"{errno}\",family=\"{family}\",target=\"other\"}}");
        assert_eq!(daemon.metric(&sample).unwrap(), Some(50.0), "{sample}");
    }
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(failures_total(&daemon), f64::from(seen), "no event comes twice");
    for failure in probes(&daemon)["connect_failures"].as_array().unwrap() {
        assert_eq!((&failure["comm"], &failure["pid"]), (&"many".into(), &std::process::id().into()));
    }
}

#[test]
fn a_second_connect_that_fetches_the_error_is_reported_once() {
    root_test!();
    let (place, daemon) = Place::probed();
    let script = "import socket, time\n\
        s = socket.socket()\n\
        s.setblocking(False)\n\
        print(s.connect_ex(('10.78.0.1', 7200)))\n\
        time.sleep(0.2)\n\
        print(s.connect_ex(('10.78.0.1', 7200)))\n";
    let output = place.node.command("python3").args(["-c", script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "115\n111\n");
    let peer = "10.78.0.1:7200".parse().unwrap();
    failure_to(&daemon, peer);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(failures_to(&daemon, peer).len(), 1);
}
