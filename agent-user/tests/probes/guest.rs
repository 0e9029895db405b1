//! The same object on other kernels, Debian's 6.1 and 6.12, in virtual machines: there programs attach to functions.

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

/// A case of probes-guest.py: what the application saw, the errno, its source, and the least seconds that it took; `None` where
/// nothing is to be reported.
type Case = (&'static str, &'static str, Option<(&'static str, &'static str, f64)>);

const CASES: [Case; 14] = [
    ("refused", "111", Some(("ECONNREFUSED", "socket", 0.0))),
    ("refused-n", "111", Some(("ECONNREFUSED", "socket", 0.0))),
    ("refused6", "111", Some(("ECONNREFUSED", "socket", 0.0))),
    ("refused6-n", "111", Some(("ECONNREFUSED", "socket", 0.0))),
    ("no-route", "101", Some(("ENETUNREACH", "call", 0.0))),
    ("silence", "110", Some(("ETIMEDOUT", "socket", 2.9))),
    ("silence-n", "110", Some(("ETIMEDOUT", "socket", 2.9))),
    ("twice", "[115,111]", Some(("ECONNREFUSED", "socket", 0.0))),
    ("twice-silent", "[115,110]", Some(("ETIMEDOUT", "socket", 2.9))),
    ("given-up", "0", Some(("abandoned", "abandoned", 0.3))),
    ("interrupted", "4", Some(("abandoned", "abandoned", 0.3))),
    ("good", "0", None),
    ("good-n", "0", None),
    ("reset", "104", None),
];

#[test]
fn the_probes_work_on_linux_6_1() {
    work_on("6.1.", |say| Kernel::install(say));
}

#[test]
fn the_probes_work_on_linux_6_12() {
    work_on("6.12.", |say| Kernel::install_of(guest::LINUX_6_12, say));
}

fn work_on(series: &str, install: impl FnOnce(&mut dyn FnMut(&str)) -> std::io::Result<Kernel>) {
    if !guest::is_possible() {
        return;
    }
    let _machine = crate::place::shared();
    let kernel = install(&mut |line| println!("{line}")).unwrap();
    let initramfs =
        Initramfs::new(&format!("probes-{series}"), include_str!("../fixtures/probes-guest-init.sh"))
            .unwrap();
    initramfs.add_program(Path::new(binary()), "bin/ipa-sidecar").unwrap();
    initramfs.add_program(Path::new("/sbin/ip"), "sbin/ip").unwrap();
    initramfs.add_python("encodings.idna, json, select, signal, socket, struct, threading, time").unwrap();
    initramfs.write("probes-guest.py", include_str!("../fixtures/probes-guest.py")).unwrap();
    initramfs.add(&kernel.modules(&["veth"]).unwrap()[0], "veth.ko").unwrap();
    let console = guest::boot(&kernel, &initramfs.pack().unwrap(), Duration::from_secs(240)).unwrap();
    let console = console.replace('\r', "");
    println!("{console}");

    assert!(section(&console, "kernel").contains(series), "{console}");
    for capability in ["CapPrm", "CapEff"] {
        assert!(section(&console, "status").contains(&format!("{capability}:\t0000000000000000\n")));
    }
    let body = section(&console, "state").split_once("\n{").map(|(_, body)| format!("{{{body}")).unwrap();
    let state: Value = serde_json::from_str(body.trim()).unwrap();
    check_probes(&state["probes"], series == "6.12.");
    check_cases(section(&console, "connects"));
}

fn check_probes(probes: &Value, sees_refusals: bool) {
    let probe = |name: &str| {
        let list = probes["list"].as_array().unwrap();
        list.iter().find(|entry| entry["probe"] == name).unwrap().clone()
    };
    for name in ["connect", "connect_call", "callback"] {
        assert_eq!(probe(name)["path"], "trampoline", "{name}: {probes:#}");
    }
    if sees_refusals {
        assert_eq!(probe("callback_refused")["path"], "typed_tracepoint", "{probes:#}");
        assert_eq!(probes["callback"]["refused"], 1, "{probes:#}");
    } else {
        assert_eq!(probe("callback_refused")["reason"], "no_tracepoint", "{probes:#}");
    }
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

/// Each failure is reported once, as the application saw it; in a storm what is reported and what is lost are all.
fn check_cases(lines: &str) {
    let lines: Vec<Value> = lines
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let find =
        |name: &str| lines.iter().find(|line| line["case"] == name).unwrap_or_else(|| panic!("no {name}"));
    for (name, saw, expected) in CASES {
        let line = find(name);
        assert_eq!(line["saw"].to_string(), saw, "{line}");
        let reported = line["reported"].as_array().unwrap();
        let Some((errno, source, least)) = expected else {
            assert!(reported.is_empty() && line["more"] == 0, "{line}");
            continue;
        };
        assert_eq!((reported.len(), &line["more"]), (1, &1.into()), "{line}");
        assert_eq!(
            (&reported[0]["errno"], &reported[0]["errno_source"]),
            (&errno.into(), &source.into()),
            "{line}"
        );
        let took = reported[0]["duration_seconds"].as_f64().unwrap();
        assert!((least..least + 2.0).contains(&took), "{line}");
    }
    let storm = &find("storm")["saw"];
    assert_eq!(storm[2], 2000, "reported, lost, together: {storm}");
}
