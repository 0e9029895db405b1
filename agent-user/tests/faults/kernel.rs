//! Netlink and BPF: system calls that fail, and one that hangs.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::*;

#[test]
fn a_netlink_socket_that_fails_is_replaced() {
    root_test!("strace");
    let site = Site::new();
    // Multicast and questions alike: every 17th read of netlink of each thread fails from the 30th on.
    let mut daemon = daemon_with_injected(&site, "recvmsg:error=EIO:when=30+17", &[], &[API_FLAG]);
    daemon.wait_address(Some(FIRST), SOON).unwrap();
    for _ in 0..5 {
        follows_a_change(&site, &daemon);
    }
    daemon.wait_log("subscribing again", LATER).unwrap();
    follows_a_change(&site, &daemon);
    seen(format!(
        "subscribed anew {} times, every change followed",
        daemon.log().matches("the netlink subscription failed").count()
    ));
    end_traced(&mut daemon);
}

#[test]
fn an_overrun_is_counted_and_asked_about() {
    root_test!("strace");
    let site = Site::new();
    let mut daemon = daemon_with_injected(&site, "recvmsg:error=ENOBUFS:when=30+17", &[], &[API_FLAG]);
    daemon.wait_address(Some(FIRST), SOON).unwrap();
    for _ in 0..5 {
        follows_a_change(&site, &daemon);
    }
    let overruns = wait_counted(&daemon, "netlink_overruns_total", SOON);
    seen(format!("{overruns} overruns counted, every change followed"));
    end_traced(&mut daemon);
}

/// The thread that asks hangs in the call that asks, as while a driver holds the kernel's rtnl lock.
#[test]
fn a_watch_that_hangs_in_the_kernel_stops_neither_heartbeats_nor_pages_nor_the_end() {
    root_test!("strace");
    let site = Site::new();
    let ironic = site.ironic(fast());
    let mut daemon = site.agent(&[WITHOUT_LISTENER]);
    wait_beats(&daemon, &ironic, 1, LATER);
    // What the first heartbeat changes is asked about before.
    daemon.wait_state("the URL is pinned", SOON, |state| state["pinned_url"].is_string()).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    let threads = std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap().flatten();
    let watch = threads
        .map(|thread| thread.path())
        .find(|thread| std::fs::read_to_string(thread.join("comm")).unwrap().trim() == "watch")
        .unwrap();
    let mut strace = Command::new("strace");
    strace.args(["-o", "/dev/null", "-e", "trace=sendto", "-e", "inject=sendto:delay_enter=60000000", "-p"]);
    strace.arg(watch.file_name().unwrap());
    let mut strace = Traced(strace.stderr(Stdio::piped()).spawn().unwrap());
    let mut output = BufReader::new(strace.0.stderr.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert!(line.contains("attached"), "{line}");

    let heard = r#"netlink_messages_total{type="address"}"#;
    let before = metric(&daemon, heard);
    site.add(SECOND);
    wait_until(&daemon, "it has heard, and asks", SOON, || metric(&daemon, heard) > before);
    let hanging = metric(&daemon, heard);
    site.remove(SECOND);
    let beats = ironic.heartbeats();
    wait_beats(&daemon, &ironic, beats + 2, LATER);
    assert_eq!(ready(&daemon).0, 200);
    assert_eq!(metric(&daemon, heard), hanging, "it does not hang");
    let started = Instant::now();
    signal(&daemon, Signal::TERM);
    // All of it ends but the thread that the kernel keeps, here for strace's sake.
    let status = format!("/proc/{}/status", daemon.pid());
    let is_zombie = || std::fs::read_to_string(&status).unwrap().contains("State:\tZ");
    while !is_zombie() {
        assert!(started.elapsed() < ANSWERS_WITHIN, "{}", daemon.log());
        std::thread::sleep(Duration::from_millis(1));
    }
    let took = started.elapsed();
    drop(strace);
    assert_eq!(daemon.ended(SOON).unwrap().code(), Some(0));
    seen(format!("two heartbeats meanwhile; ended within {} ms", took.as_millis()));
}

/// Ends with its owner.
struct Traced(std::process::Child);

impl Drop for Traced {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(feature = "ebpf")]
#[test]
fn without_memory_for_the_ring_buffer_it_runs_and_says_so() {
    root_test!("strace");
    for (call, why) in [("bpf", "Cannot allocate memory"), ("mmap", "")] {
        let site = Site::new();
        // What is mapped without an address or file of its own is left alone: only maps of BPF have this name.
        let paths: &[&str] = if call == "mmap" { &["anon_inode:bpf-map"] } else { &[] };
        let inject = format!("{call}:error=ENOMEM");
        let mut daemon = daemon_with_injected(&site, &inject, paths, &[API_FLAG]);
        daemon.wait_address(Some(FIRST), LATER).unwrap();
        assert_eq!(ready(&daemon).0, 200);
        assert_eq!(daemon.metric("probe_attached{probe=\"connect\"}").unwrap(), Some(0.0));
        let list = daemon.state().unwrap()["probes"]["list"].clone();
        let detail = list[0]["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(why), "{detail}");
        follows_a_change(&site, &daemon);
        seen(format!("{call}: ready, probes missing: {detail}"));
        end_traced(&mut daemon);
    }
}
