//! Netlink and BPF: system calls that fail.

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
