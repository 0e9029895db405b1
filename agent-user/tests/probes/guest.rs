//! The same object on another kernel, Debian's 6.1, in a virtual machine.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use testbed::guest::{self, Initramfs, Kernel};
use testbed::site::binary;

/// What stands between one mark and the next.
fn section<'a>(console: &'a str, mark: &str) -> &'a str {
    let (_, rest) =
        console.split_once(&format!("== {mark}")).unwrap_or_else(|| panic!("no {mark}: {console}"));
    rest.split("\n== ").next().unwrap()
}

#[test]
fn the_probes_work_on_linux_6_1() {
    if !guest::is_possible() {
        return;
    }
    let _machine = crate::place::shared();
    let kernel = Kernel::install(&mut |line| println!("{line}")).unwrap();
    let initramfs = Initramfs::new("probes", include_str!("../fixtures/probes-guest-init.sh")).unwrap();
    initramfs.add_program(Path::new(binary()), "bin/ipa-sidecar").unwrap();
    initramfs.add_program(Path::new("/sbin/ip"), "sbin/ip").unwrap();
    initramfs.add(&kernel.modules(&["veth"]).unwrap()[0], "veth.ko").unwrap();
    let console = guest::boot(&kernel, &initramfs.pack().unwrap(), Duration::from_secs(180)).unwrap();
    let console = console.replace('\r', "");
    println!("{console}");

    assert!(section(&console, "kernel").contains("6.1."), "{console}");
    for capability in ["CapPrm", "CapEff"] {
        assert!(section(&console, "status").contains(&format!("{capability}:\t0000000000000000\n")));
    }
    let body = section(&console, "state").split_once("\n{").map(|(_, body)| format!("{{{body}")).unwrap();
    let state: Value = serde_json::from_str(body.trim()).unwrap();
    let probes = &state["probes"];
    let reason = |probe: &str| {
        let list = probes["list"].as_array().unwrap();
        list.iter().find(|entry| entry["probe"] == probe).unwrap()["reason"].clone()
    };
    for probe in ["connect", "connect_call", "callback"] {
        assert_eq!(reason(probe), Value::Null, "{probe}: {probes:#}");
    }
    assert_eq!(reason("callback_refused"), "no_tracepoint");
    let reported: Vec<_> = probes["connect_failures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failure| {
            let text = |key: &str| failure[key].as_str().unwrap().to_owned();
            (text("peer"), text("errno"), text("target"), text("comm"))
        })
        .filter(|(peer, ..)| !peer.ends_with(":10099")) // The wait for the daemon.
        .collect();
    let expected = [
        ("10.78.0.1:6385", "ECONNREFUSED", "ironic"),
        ("10.78.0.1:3001", "ECONNREFUSED", "other"),
        ("192.0.2.1:3002", "ENETUNREACH", "other"),
        ("[::1]:3003", "ECONNREFUSED", "other"),
    ];
    let expected = expected
        .map(|(peer, errno, target)| (peer.to_owned(), errno.to_owned(), target.to_owned(), "nc".to_owned()));
    assert_eq!(reported, expected);
    assert_eq!(probes["callback"]["connections"], 1);
    let peer = probes["callback"]["last_connection_peer"].as_str().unwrap();
    assert!(peer.starts_with("10.78.0.1:"), "{peer}");
}
