//! resolv.conf appears or is replaced while the daemon runs.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::thread::sleep;
use std::time::{Duration, Instant};

use testbed::daemon::Daemon;
use testbed::root_test;
use testbed::site::{Directory, NameServer, Says, with_etc};

use crate::follow_change;
use crate::machine::{addressed, run};

const NAMED: [&str; 2] = ["--ironic.api-url", "http://ironic.test:6385"];

/// The API, on one network and on another.
const API: Says = Says::Address(Ipv4Addr::new(203, 0, 113, 1));
const OTHER: Says = Says::Address(Ipv4Addr::new(10, 1, 0, 9));

/// Retries come 1, 3, 7 and 12 s after the start: between the last two no retry can be taken for the file's doing.
const BETWEEN_RETRIES: Duration = Duration::from_millis(7500);

fn unresolved(daemon: &Daemon) {
    let state = daemon.wait_address(None, Duration::from_secs(5)).unwrap();
    assert_eq!(state["reason"], "name_unresolved");
}

#[test]
fn resolv_conf_appears() {
    root_test!();
    let netns = addressed();
    let etc = Directory::new("watch");
    let _dns = NameServer::start(&netns, "127.0.0.53", API);
    let daemon = run(&netns, with_etc(&netns, etc.path()), &NAMED);
    unresolved(&daemon);
    sleep(BETWEEN_RETRIES);
    follow_change(&daemon, "resolv.conf appears", Some("10.0.0.2"), || {
        etc.write("resolv.conf", "nameserver 127.0.0.53\n");
    });
}

#[test]
fn resolv_conf_is_replaced() {
    root_test!();
    let netns = addressed();
    let etc = Directory::new("watch");
    etc.write("resolv.conf", "options ndots:1\n");
    let _one = NameServer::start(&netns, "127.0.0.53", API);
    let _other = NameServer::start(&netns, "127.0.0.54", OTHER);
    let daemon = run(&netns, with_etc(&netns, etc.path()), &NAMED);
    unresolved(&daemon);
    sleep(BETWEEN_RETRIES);
    follow_change(&daemon, "resolv.conf replaced", Some("10.0.0.2"), || {
        etc.replace("resolv.conf", "nameserver 127.0.0.53\n");
    });
    // The servers change with the network: the other one knows the API's address there.
    follow_change(&daemon, "another name server", Some("10.1.0.2"), || {
        etc.replace("resolv.conf", "nameserver 127.0.0.54\n");
    });
    // Without a server the name keeps what it had.
    etc.replace("resolv.conf", "options ndots:1\n");
    daemon.wait_log("keeping the addresses", Duration::from_secs(1)).unwrap();
    assert_eq!(daemon.state().unwrap()["address"], "10.1.0.2");
}

/// Half of DNS fails: the family that it fails for keeps its address, and one that has no address any more loses it.
#[test]
fn each_family_keeps_its_addresses_while_its_question_fails() {
    root_test!();
    const SERVFAIL: u8 = 2;
    let netns = addressed();
    let etc = Directory::new("watch");
    etc.write("resolv.conf", "nameserver 127.0.0.53\n");
    let (four, six): (Ipv4Addr, Ipv6Addr) = ("10.1.0.9".parse().unwrap(), "fd00::9".parse().unwrap());
    let dns = NameServer::start(&netns, "127.0.0.53", Says::Families(Ok(four), Ok(six)));
    let daemon = run(&netns, with_etc(&netns, etc.path()), &NAMED);
    daemon.wait_address(Some("10.1.0.2"), Duration::from_secs(5)).unwrap();
    let reask = || etc.replace("resolv.conf", &format!("nameserver 127.0.0.53\n# {:?}\n", Instant::now()));
    let count = || daemon.log().matches("keeping the addresses").count();
    for says in [Says::Families(Err(SERVFAIL), Ok(six)), Says::Code(SERVFAIL), Says::Code(3)] {
        let before = count();
        dns.set(says);
        reask();
        let waited = Instant::now();
        while count() == before {
            assert!(waited.elapsed() < Duration::from_secs(20), "{says:?}: {}", daemon.log());
            sleep(Duration::from_millis(50));
        }
        let state = daemon.state().unwrap();
        assert_eq!(state["address"], "10.1.0.2", "{says:?}");
        assert_eq!(state["api_urls"][0]["resolved"].as_array().unwrap().len(), 2, "{says:?}");
    }
    dns.set(Says::Families(Err(3), Ok(six)));
    reask();
    daemon.wait_address(Some("fd00::2"), Duration::from_secs(20)).unwrap();
}

/// As NetworkManager has it: /etc/resolv.conf leads to a file that appears with the network.
#[test]
fn resolv_conf_is_a_link_that_leads_nowhere_yet() {
    root_test!();
    let netns = addressed();
    let (etc, run_directory) = (Directory::new("watch"), Directory::new("watch"));
    std::os::unix::fs::symlink(run_directory.file("resolv.conf"), etc.file("resolv.conf")).unwrap();
    let _one = NameServer::start(&netns, "127.0.0.53", API);
    let _other = NameServer::start(&netns, "127.0.0.54", OTHER);
    let daemon = run(&netns, with_etc(&netns, etc.path()), &NAMED);
    unresolved(&daemon);
    sleep(BETWEEN_RETRIES);
    follow_change(&daemon, "the target of resolv.conf appears", Some("10.0.0.2"), || {
        run_directory.replace("resolv.conf", "nameserver 127.0.0.53\n");
    });
    follow_change(&daemon, "the target of resolv.conf is replaced", Some("10.1.0.2"), || {
        run_directory.replace("resolv.conf", "nameserver 127.0.0.54\n");
    });
}
