//! Sight on another kernel, Debian's 6.1, in a virtual machine: by the packet socket and by the probes on libssl.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use testbed::architecture::Architecture;
use testbed::guest::{self, Boot, Initramfs, Kernel, Machine, SHELL};
use testbed::http::Http;
use testbed::netns::Netns;
use testbed::root_test;
use testbed::site::{MAC, NODE, binary, node_with_mac};
use testbed::stand_in::{Behaviour, StandIn, TlsIdentity};

/// Everything in an emulated machine that others slow down.
const PATIENCE: Duration = Duration::from_secs(180);
/// The shell, the NIC, and what is asked whose a connection is; each after what it needs.
const MODULES: [&str; 4] = ["virtio_pci", "virtio_console", "virtio_net", "tcp_diag"];
/// The host's port that leads to the daemon in the guest.
const FORWARDED: &str = "127.0.0.1:20099";
/// The guest's, as user-mode networks have it.
const URL: &str = "http://10.0.2.15:9999";

#[test]
fn both_sources_see_ipa_on_linux_6_1() {
    root_test!();
    if !guest::is_possible() {
        return;
    }
    let kernel = Kernel::install(&mut |line| println!("{line}")).unwrap();
    let initramfs = image(&kernel);
    let netns = Arc::new(Netns::new().unwrap());
    let listener = |port| netns.enter(|| TcpListener::bind(("127.0.0.1", port)).unwrap()).unwrap();
    let plain = StandIn::start(listener(6385), node_with_mac()).unwrap();
    let tls = StandIn::start(listener(6386), Behaviour { tls: Some(identity()), ..node_with_mac() }).unwrap();
    let forward = format!("user,id=n0,ipv6=off,hostfwd=tcp:{FORWARDED}-:10099");
    let devices = ["-netdev", &forward, "-device", "virtio-net-pci,netdev=n0,romfile="].map(str::to_owned);
    let boot = Boot {
        architecture: Architecture::X86_64,
        kernel: &kernel.image,
        initramfs: &initramfs.pack().unwrap(),
        words: "net.ifnames=0",
        memory: 512,
        devices: &devices,
        netns: Some(&netns),
    };
    let mut machine = Machine::start(&boot).unwrap();
    let web = Http::inside(&netns, FORWARDED.parse().unwrap());
    let state = |wanted: fn(&Value) -> bool| {
        move |_: &Machine| web.get("/state", &[]).ok()?.json().ok().filter(wanted)
    };
    let is_attached = |state: &Value| {
        state["sight"]["http"]["attached"] == true && state["sight"]["tls"]["attached"] == true
    };
    let seen = machine.wait("both sources", PATIENCE, state.clone()(is_attached));
    let seen = seen.unwrap_or_else(|error| panic!("{error}\n{}", log(&machine)));
    assert_eq!(seen["acting_mode"], "configure");
    for source in ["http", "tls"] {
        assert_eq!(seen["sight"][source]["detail"], Value::Null, "{}", seen["sight"]);
    }
    let release = machine.run("uname -r", PATIENCE).unwrap();
    assert!(release.starts_with("6.1."), "{release}");
    let capabilities = machine.run("grep CapEff /proc/$(pidof ipa-sidecar)/status", PATIENCE).unwrap();
    assert!(capabilities.ends_with("\t0000000000000000"), "{capabilities}");

    for (scheme, port) in [("https", 6386), ("http", 6385)] {
        let client = format!("/usr/bin/python3 -I -S /client.py {scheme} {port} {MAC} {NODE} {URL}");
        assert_eq!(machine.run(&client, PATIENCE).unwrap(), "200 202", "{scheme}");
    }
    let has_all = |state: &Value| state["sight"]["exchanges"].as_array().is_some_and(|all| all.len() >= 4);
    let seen = machine.wait("four exchanges", PATIENCE, state(has_all));
    let seen = seen.unwrap_or_else(|error| panic!("{error}\n{}", log(&machine)));
    let shown: Vec<_> = seen["sight"]["exchanges"].as_array().unwrap().iter().map(shown).collect();
    let [http, none] = [json!("10.0.2.2:6385"), Value::Null];
    assert_eq!(
        shown,
        [
            json!(["lookup", 200, null, none, true, 0]),
            json!(["heartbeat", 202, URL, none, true, 0]),
            json!(["lookup", 200, null, http, false, 0]),
            json!(["heartbeat", 202, URL, http, false, 0]),
        ]
    );
    assert_eq!((&seen["sight"]["foreign"], &seen["sight"]["lost"]), (&json!([]), &json!(0)));
    assert_eq!((&seen["pinned_url"], &seen["sight"]["node_uuid"]), (&json!(URL), &json!(NODE)));
    assert_eq!([&tls, &plain].map(StandIn::heartbeats), [1, 1]);
    println!("Linux {release}: {}", json!(shown));
}

/// The daemon, Debian's Python with its libssl, and a client.
fn image(kernel: &Kernel) -> Initramfs {
    let initramfs = Initramfs::new("sight", include_str!("../fixtures/sight-guest-init.sh")).unwrap();
    initramfs.add_program(Path::new(binary()), "bin/ipa-sidecar").unwrap();
    initramfs.add_python("encodings.idna, http.client, json, ssl").unwrap();
    initramfs.write("client.py", include_str!("guest_client.py")).unwrap();
    initramfs.write("shell", SHELL).unwrap();
    let mut order = String::new();
    for file in kernel.modules(&MODULES).unwrap() {
        let name = file.file_name().unwrap().to_str().unwrap();
        initramfs.add(&file, &format!("modules/{name}")).unwrap();
        order.push_str(&format!("{name}\n"));
    }
    initramfs.write("modules/order", &order).unwrap();
    initramfs
}

fn identity() -> TlsIdentity {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["10.0.2.2".to_owned()]).unwrap().self_signed(&key).unwrap();
    TlsIdentity { certificates: certificate.pem(), key: key.serialize_pem(), client_ca: None }
}

/// Of an exchange: what, status, URL, where it went, whether the process is known, the user.
fn shown(exchange: &Value) -> Value {
    let part = |key: &str| &exchange[key];
    json!([
        part("request"),
        part("status"),
        part("callback_url"),
        part("endpoint"),
        part("pid").is_u64(),
        part("uid")
    ])
}

fn log(machine: &Machine) -> String {
    machine.run("cat /run/ipa-sidecar.log", PATIENCE).unwrap_or_else(|error| error.to_string())
}
