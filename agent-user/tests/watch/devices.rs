//! Devices that come, go and are renamed; addresses whose time is over.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use testbed::netns::Netns;
use testbed::root_test;

use crate::machine::{add_nic, addressed, start, start_at, two_nics};
use crate::{SOON, follow, follow_change};

const ON_LINK: [&str; 2] = ["--ironic.api-url", "http://10.0.0.9:6385"];

#[test]
fn a_renamed_device() {
    root_test!();
    let netns = addressed();
    let daemon = start_at(&netns, &ON_LINK, Some("10.0.0.2"));
    let started = Instant::now();
    // Kernels before 6.2 rename only what is down.
    if netns.ip("link set n0 name enp2s0").is_err() {
        netns
            .ip_lines(
                "link set n0 down
                 link set n0 name enp2s0
                 link set enp2s0 up",
            )
            .unwrap();
    }
    let state = daemon.wait_state("the new name", SOON, |state| state["device"] == "enp2s0").unwrap();
    println!("device renamed: seen after {} ms", started.elapsed().as_millis());
    assert_eq!(state["address"], "10.0.0.2");
    let info =
        "advertise_address_info{address=\"10.0.0.2\",device=\"enp2s0\",family=\"inet\",origin=\"route\"}";
    assert_eq!(daemon.metric(info).unwrap(), Some(1.0));
}

/// Any bytes may stand in a name, an alternative name, an alias and an address's label.
#[test]
fn names_of_no_known_encoding_hide_nothing() {
    root_test!();
    let netns = addressed();
    let ip = |words: &[&[u8]]| {
        let words = words.iter().map(|word| OsStr::from_bytes(word));
        let output = netns.command("ip").args(words).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    ip(&[b"link", b"set", b"dev", b"n0", b"alias", b"M\xfcnchen"]);
    ip(&[b"link", b"property", b"add", b"dev", b"n0", b"altname", b"ens\xff"]);
    ip(&[b"addr", b"add", b"10.0.0.7/24", b"dev", b"n0", b"label", b"n0:\xff"]);
    let daemon = start_at(&netns, &ON_LINK, Some("10.0.0.2"));
    ip(&[b"link", b"set", b"n0", b"down"]);
    ip(&[b"link", b"set", b"n0", b"name", b"\xff0"]);
    ip(&[b"link", b"set", b"\xff0", b"up"]);
    let is_there = |state: &Value| state["device"] == "\\xff0" && state["address"] == "10.0.0.2";
    daemon.wait_state("the new name", SOON, is_there).unwrap();
    assert_eq!(daemon.metric("netlink_decode_errors_total").unwrap(), Some(0.0));
}

#[test]
fn the_wanted_device_may_be_named_by_an_alternative_name() {
    root_test!();
    let netns = addressed();
    for name in ["enp2s0", "enx525400aa0001-of-sixteen-and-more"] {
        netns.ip(&format!("link property add dev n0 altname {name}")).unwrap();
        let flags = [ON_LINK[0], ON_LINK[1], "--advertise.interface", name];
        let daemon = start_at(&netns, &flags, Some("10.0.0.2"));
        assert_eq!(daemon.state().unwrap()["device"], "n0");
    }
}

#[test]
fn the_wanted_device_appears_late_and_is_unplugged() {
    root_test!();
    let netns = addressed();
    let flags = ["--ironic.api-url", "http://203.0.113.1:6385", "--advertise.interface", "late0"];
    let daemon = start(&netns, &flags);
    let state = daemon.wait_address(None, Duration::from_secs(5)).unwrap();
    assert_eq!(state["reason"], "wrong_device");
    follow_change(&daemon, "the wanted device appears", Some("10.2.0.2"), || {
        add_nic(&netns, "late0", "late1");
        netns.ip("addr add 10.2.0.2/24 dev late0").unwrap();
    });
    assert_eq!(daemon.state().unwrap()["origin"], "interface");
    follow(&daemon, &netns, "the wanted device unplugged", None, "link del late0");
    assert_eq!(daemon.state().unwrap()["reason"], "wrong_device");
}

/// Waits for the kernel's own word about an address; the kernel is in no hurry with lifetimes.
fn wait_shown(netns: &Netns, words: &str, wanted: impl Fn(&str) -> bool) {
    let started = Instant::now();
    while !wanted(&netns.ip(words).unwrap()) {
        assert!(started.elapsed() < Duration::from_secs(20), "ip {words}");
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn lifetimes_end_by_themselves() {
    root_test!();
    for (family, address, api) in
        [("-6", "fd00::2/64", "http://[fd00::9]:6385"), ("-4", "10.0.0.2/24", "http://10.0.0.9:6385")]
    {
        let netns = two_nics();
        let nodad = if family == "-6" { "nodad" } else { "" };
        netns.ip(&format!("addr add {address} dev n0 {nodad} preferred_lft 4 valid_lft 7")).unwrap();
        let daemon = start(&netns, &["--ironic.api-url", api]);
        let (ip, _) = address.split_once('/').unwrap();
        daemon.wait_address(Some(ip), Duration::from_secs(10)).unwrap();
        let show = format!("{family} addr show dev n0");
        wait_shown(&netns, &show, |text| text.contains("deprecated"));
        let ended = Instant::now();
        let state = daemon
            .wait_state("deprecated", SOON, |state| {
                state["api_urls"][0]["resolved"][0]["reason"] == "deprecated"
            })
            .unwrap();
        println!("{ip} deprecated: seen after {} ms", ended.elapsed().as_millis());
        assert_eq!(state["address"], ip, "a last resort is better than none");
        wait_shown(&netns, &show, |text| !text.contains(ip));
        let ended = Instant::now();
        daemon.wait_address(None, SOON).unwrap();
        println!("{ip} expired: seen after {} ms", ended.elapsed().as_millis());
    }
}
