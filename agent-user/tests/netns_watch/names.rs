//! resolv.conf appears or is replaced while the daemon runs.

use std::net::Ipv4Addr;
use std::thread::sleep;
use std::time::Duration;

use testbed::daemon::Daemon;
use testbed::needs_root;

use crate::follow;
use crate::netns_setup::dns::Dns;
use crate::netns_setup::{Directory, addressed, run};

const NAMED: [&str; 2] = ["--ironic.api-url", "http://ironic.test:6385"];

/// Retries come 1, 3, 7 and 12 s after the start: between the last two no retry can be taken for the file's doing.
const BETWEEN_RETRIES: Duration = Duration::from_millis(7500);

fn unresolved(daemon: &Daemon) {
    let state = daemon.wait_address(None, Duration::from_secs(5)).unwrap();
    assert_eq!(state["reason"], "name_unresolved");
}

#[test]
fn resolv_conf_appears() {
    if !needs_root("resolv.conf") {
        return;
    }
    let netns = addressed();
    let etc = Directory::new();
    let _dns = Dns::start(&netns, "127.0.0.53", Ipv4Addr::new(203, 0, 113, 1));
    let daemon = run(&netns, etc.as_etc(&netns), &NAMED);
    unresolved(&daemon);
    sleep(BETWEEN_RETRIES);
    follow(&daemon, "resolv.conf appears", Some("10.0.0.2"), || {
        etc.write("resolv.conf", "nameserver 127.0.0.53\n");
    });
}

#[test]
fn resolv_conf_is_replaced() {
    if !needs_root("resolv.conf") {
        return;
    }
    let netns = addressed();
    let etc = Directory::new();
    etc.write("resolv.conf", "options ndots:1\n");
    let _one = Dns::start(&netns, "127.0.0.53", Ipv4Addr::new(203, 0, 113, 1));
    let _other = Dns::start(&netns, "127.0.0.54", Ipv4Addr::new(10, 1, 0, 9));
    let daemon = run(&netns, etc.as_etc(&netns), &NAMED);
    unresolved(&daemon);
    sleep(BETWEEN_RETRIES);
    follow(&daemon, "resolv.conf replaced", Some("10.0.0.2"), || {
        etc.replace("resolv.conf", "nameserver 127.0.0.53\n");
    });
    // The servers change with the network: the other one knows the API's address there.
    follow(&daemon, "another name server", Some("10.1.0.2"), || {
        etc.replace("resolv.conf", "nameserver 127.0.0.54\n");
    });
    // Without a server the name keeps what it had.
    etc.replace("resolv.conf", "options ndots:1\n");
    daemon.wait_log("keeping the addresses", Duration::from_secs(1)).unwrap();
    assert_eq!(daemon.state().unwrap()["address"], "10.1.0.2");
}

/// As NetworkManager has it: /etc/resolv.conf leads to a file that appears with the network.
#[test]
fn resolv_conf_is_a_link_that_leads_nowhere_yet() {
    if !needs_root("resolv.conf") {
        return;
    }
    let netns = addressed();
    let (etc, run_directory) = (Directory::new(), Directory::new());
    std::os::unix::fs::symlink(run_directory.path.join("resolv.conf"), etc.path.join("resolv.conf")).unwrap();
    let _one = Dns::start(&netns, "127.0.0.53", Ipv4Addr::new(203, 0, 113, 1));
    let _other = Dns::start(&netns, "127.0.0.54", Ipv4Addr::new(10, 1, 0, 9));
    let daemon = run(&netns, etc.as_etc(&netns), &NAMED);
    unresolved(&daemon);
    sleep(BETWEEN_RETRIES);
    follow(&daemon, "the target of resolv.conf appears", Some("10.0.0.2"), || {
        run_directory.replace("resolv.conf", "nameserver 127.0.0.53\n");
    });
    follow(&daemon, "the target of resolv.conf is replaced", Some("10.1.0.2"), || {
        run_directory.replace("resolv.conf", "nameserver 127.0.0.54\n");
    });
}
