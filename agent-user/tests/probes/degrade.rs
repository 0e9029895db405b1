//! Where BPF is missing, or a part of what it needs: the daemon runs, and names what is missing.

use std::fs::{Permissions, set_permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::place::*;
use testbed::daemon::Daemon;
use testbed::root_test;
use testbed::site::{self, FIRST, FIRST_URL, FakeIpa, Site};

const ALL: [&str; 4] = ["connect", "connect_call", "callback", "callback_refused"];
/// Runs the rest of its words with bpf(2) answering EPERM, as a container's seccomp filter does.
const WITHOUT_BPF: &str = r#"
import ctypes, os, platform, struct, sys
number = {"x86_64": 321, "aarch64": 280}[platform.machine()]
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
program = b"".join(struct.pack("=HBBI", *line) for line in [
    (LOAD, 0, 0, 0), (EQUAL, 0, 1, number), (RETURN, 0, 0, 0x00050001), (RETURN, 0, 0, 0x7fff0000)])
buffer = ctypes.create_string_buffer(program)
class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("lines", ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
filter = Filter(4, ctypes.addressof(buffer))
assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
assert libc.prctl(22, 2, ctypes.byref(filter), 0, 0) == 0, ctypes.get_errno()  # PR_SET_SECCOMP
os.execvp(sys.argv[1], sys.argv[1:])
"#;

/// What the daemon runs under where it may not use bpf(2).
const LACKS: [(&str, &[&str]); 3] = [
    ("seccomp", &["python3", "-c", WITHOUT_BPF]),
    ("unprivileged", &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]),
    ("root without capabilities", &["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"]),
];
/// The reason of each, and what the detail names.
const REASON: &str = "not_permitted";
const DETAIL: &str = "Operation not permitted";

/// tracefs is covered, and mounting takes CAP_SYS_ADMIN.
const WITHOUT_TRACEFS: [&str; 6] = [
    "unshare",
    "--mount",
    "sh",
    "-c",
    "mount -t tmpfs none /sys/kernel/tracing && mount -t tmpfs none /sys/kernel/debug && \
     exec setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin -- \"$@\"",
    "sh",
];
const WITHOUT_BTF: &str = "mount -t tmpfs none /sys/kernel/btf && exec \"$@\"";

#[test]
fn without_tracefs_connects_and_call_backs_are_still_seen() {
    root_test!();
    let place = Place::new();
    let daemon = place.daemon_under(&WITHOUT_TRACEFS, &[API]);
    for (probe, expected) in [("connect", None), ("callback", None)] {
        assert_eq!(reason(&daemon, probe).as_deref(), expected, "{probe}: {}", daemon.log());
    }
    // Typed pointers need no tracefs.
    let refused = reason(&daemon, "callback_refused");
    assert!(matches!(refused.as_deref(), None | Some("no_tracepoint")), "{refused:?}");
    let peer = "10.78.0.1:3300".parse().unwrap();
    place.attempt(c"seen", peer, How::Blocking);
    let failure = failure_to(&daemon, peer);
    assert_eq!((&failure["errno"], &failure["comm"]), (&"ECONNREFUSED".into(), &"seen".into()));
}

#[test]
fn with_neither_tracefs_nor_btf_nothing_is_seen_and_that_is_reported() {
    root_test!();
    let place = Place::new();
    let words = [&["unshare", "--mount", "sh", "-c", WITHOUT_BTF, "sh"][..], &WITHOUT_TRACEFS].concat();
    let daemon = place.daemon_under(&words, &[API]);
    for probe in ["connect", "connect_call", "error_report", "callback", "callback_refused"] {
        assert_eq!(reason(&daemon, probe).as_deref(), Some("no_tracefs"), "{}", daemon.log());
    }
    assert_eq!(probes(&daemon)["callback"]["source"], "sock_diag");
}

#[test]
fn without_bpf_the_daemon_is_ready_and_names_the_reason() {
    root_test!();
    for (name, words) in LACKS {
        let place = Place::new();
        let daemon = place.daemon_under(words, &[API]);
        daemon.wait_address(Some(NODE[0]), SOON).unwrap();
        let ready = daemon.get("/-/ready").unwrap();
        assert_eq!((ready.status, ready.text().trim_end()), (200, "ready: watching"), "{}", name);
        for probe in ALL {
            assert_eq!(reason(&daemon, probe).as_deref(), Some(REASON), "{}: {}", name, daemon.log());
        }
        let state = probes(&daemon);
        let detail = state["list"][0]["detail"].as_str().unwrap();
        assert!(detail.contains(DETAIL), "{}: {detail}", name);
        println!("{:26} {:14} {detail}", name, REASON);
        assert_eq!(state["callback"]["source"], "sock_diag");
        let page = daemon.get("/").unwrap().text();
        assert_names(&page, &["missing: ", REASON]);
        let metrics = daemon.get("/metrics").unwrap().text();
        assert!(
            !metrics.contains("ipa_sidecar_connect_failures_total{"),
            "a 0 that nobody counts: {metrics}"
        );
        drop(daemon);

        for (choice, required) in [("auto", false), ("on", true)] {
            let checks = doctor(&place, words, &[API, &format!("--probe.connect={choice}")]);
            let check = &checks.iter().find(|(name, _)| name == "probe connect").unwrap().1;
            assert_eq!((&check["ok"], &check["required"]), (&false.into(), &required.into()), "{check}");
            assert!(check["found"].as_str().unwrap().contains(DETAIL), "{check}");
            assert!(check["cost"].as_str().unwrap().contains("are not seen"), "{check}");
            let capabilities = &checks.iter().find(|(name, _)| name == "capabilities").unwrap().1;
            assert!(
                capabilities["found"].as_str().unwrap().contains("CAP_BPF, CAP_PERFMON"),
                "{capabilities}"
            );
        }
    }
}

/// What sight lacks is named too. IPA answers, so its lookup is over: one of our own tells what Ironic holds.
#[test]
fn without_bpf_missing_sight_is_named_and_read_back_does_the_rest() {
    root_test!();
    let mut nodes = Vec::new();
    for (name, words) in LACKS {
        let site = Site::new();
        let ironic = site.ironic(site::pregenerated());
        site.pin(&ironic, FIRST_URL);
        set_permissions(site.directory.path(), Permissions::from_mode(0o777)).unwrap();
        let config_dir = site.directory.config_dir();
        let daemon = site.daemon_under(words, &["--mode=configure", site::API_FLAG, &config_dir]);
        site::wait_drop_in(&daemon, FIRST, site::LATER);
        let answers = FakeIpa::start(&site.node, "[::]:9999");
        nodes.push((name, site, ironic, daemon, answers));
    }
    for (name, _site, _ironic, daemon, _answers) in &nodes {
        let is_done = |state: &serde_json::Value| state["read_back"]["state"] == "done";
        let state = daemon.wait_state("the read-back", Duration::from_secs(60), is_done).unwrap();
        assert_eq!(state["read_back"]["agent_url"], FIRST_URL, "{name}");
        assert_eq!(state["pinned_url"], FIRST_URL, "{name}");
        let [http, tls] = ["http", "tls"].map(|source| &state["sight"][source]);
        assert_eq!((&tls["attached"], &tls["reason"]), (&false.into(), &REASON.into()), "{name}: {tls}");
        assert!(tls["detail"].as_str().unwrap().contains(DETAIL), "{name}: {tls}");
        // The packet socket is no matter of bpf(2).
        let has_socket = *name == "seccomp";
        assert_eq!(http["attached"], has_socket, "{name}: {http}");
        let page = daemon.get("/").unwrap().text();
        let mut named = vec!["Over https the daemon sees nothing: ", DETAIL, "Ironic held ", FIRST_URL];
        if !has_socket {
            assert_eq!(http["reason"], REASON, "{name}: {http}");
            named.extend(["Over http the daemon sees nothing: ", "CAP_NET_RAW"]);
        }
        assert_names(page, &named);
        let ready = daemon.get("/-/ready").unwrap();
        assert_eq!(ready.status, 200, "{name}: {}", ready.text());
        println!("{name:26} http {http} tls {tls}");
    }
}

#[test]
fn wanted_probes_that_are_not_there_are_a_problem() {
    root_test!();
    let place = Place::new();
    let flags = [API, "--probe.connect=on"];
    let daemon = place.daemon_under(LACKS[1].1, &flags);
    daemon.wait_address(Some(NODE[0]), SOON).unwrap();
    let ready = daemon.get("/-/ready").unwrap();
    assert_eq!(ready.status, 200);
    assert_names(ready.text(), &["eBPF probes: ", "(not_permitted)"]);
}

/// Only a part of the capabilities: the few that `doctor` names are enough.
#[test]
fn the_named_capabilities_are_enough_for_another_user() {
    root_test!();
    let place = Place::new();
    let words = [
        "sh",
        "-c",
        "exec setpriv --reuid=65534 --regid=65534 --clear-groups \
         --inh-caps=-all,+bpf,+perfmon --ambient-caps=-all,+bpf,+perfmon -- \"$@\"",
        "sh",
    ];
    let daemon = place.daemon_under(&words, &[API]);
    for probe in ["connect", "callback"] {
        assert_eq!(reason(&daemon, probe), None, "{}", daemon.log());
    }
    let peer = "10.78.0.1:3000".parse().unwrap();
    place.attempt(c"seen", peer, How::Blocking);
    assert_eq!(failure_to(&daemon, peer)["comm"], "seen");
    assert_no_privileges(&daemon);
}

#[test]
fn without_btf_the_errors_come_from_the_reports() {
    root_test!();
    let place = Place::alone();
    let words = ["unshare", "--mount", "sh", "-c", WITHOUT_BTF, "sh"];
    let daemon = place.daemon_under(&words, &[API]);
    for (probe, expected) in [
        ("connect", None),
        ("callback", None),
        ("error_report", None),
        ("connect_call", Some("no_btf")),
        ("callback_refused", Some("no_btf")),
    ] {
        assert_eq!(reason(&daemon, probe).as_deref(), expected, "{probe}: {}", daemon.log());
    }
    let notes = probes(&daemon)["notes"].to_string();
    assert!(notes.contains("in other network namespaces that have the same addresses"), "{notes}");
    let cases = [
        (c"refused", ROUTER, ["ECONNREFUSED"; 2]),
        (c"icmp", UNREACHABLE_BEHIND, ["EHOSTUNREACH", "ENETUNREACH"]),
        (c"silence", SILENT, ["ETIMEDOUT"; 2]),
    ];
    let mut ports = 3100..;
    for (name, to, errno) in cases {
        for family in FAMILIES {
            // Another test's failures on its loopback may push ours out of the last ten.
            let reported = ports.by_ref().take(5).find_map(|port| {
                let peer = SocketAddr::new(to[family].parse().unwrap(), port);
                place.attempt(name, peer, How::Blocking);
                let kept = || Some(failures_to(&daemon, peer)).filter(|kept| !kept.is_empty());
                daemon.wait("the failure", Duration::from_secs(2), kept).ok()
            });
            let reported = reported.unwrap_or_else(|| panic!("{name:?} {family}"));
            let failure = &reported[0];
            assert_eq!(
                (&failure["errno"], &failure["comm"]),
                (&errno[family].into(), &name.to_str().unwrap().into())
            );
            assert_eq!(
                (&failure["errno_source"], reported.len()),
                (&"socket".into(), 1),
                "two sources, one event"
            );
        }
    }
}

#[test]
fn after_attaching_no_privilege_is_left() {
    root_test!();
    let (place, mut daemon) = Place::probed();
    daemon.wait_address(Some(NODE[0]), SOON).unwrap();
    assert_no_privileges(&daemon);
    // And the events still come, and the end is a clean one.
    let peer = "10.78.0.1:3200".parse().unwrap();
    place.attempt(c"later", peer, How::Blocking);
    assert_eq!(failure_to(&daemon, peer)["comm"], "later");
    let (status, took) = daemon.terminate().unwrap();
    assert!(status.success() && took < Duration::from_secs(2), "{status} {took:?}");
}

#[test]
fn without_probes_no_privilege_is_left_either() {
    root_test!();
    let place = Place::new();
    let daemon = place.daemon(&["--probe.connect=off"]);
    daemon.wait_address(Some(NODE[0]), SOON).unwrap();
    assert_no_privileges(&daemon);
}

/// The first thread serves the pages, and it does while another one still loads the probes.
#[test]
fn no_page_is_served_by_a_thread_with_a_capability() {
    root_test!();
    let place = Place::new();
    let daemon = Daemon::start(env!("CARGO_BIN_EXE_ipa-sidecar"), &place.node, &[]).unwrap();
    let until = Instant::now() + SOON;
    let mut before = 0;
    loop {
        assert!(Instant::now() < until, "{}", daemon.log());
        let Ok(state) = daemon.state() else { continue };
        let first = format!("/proc/{0}/task/{0}/status", daemon.pid());
        assert_unprivileged(&std::fs::read_to_string(first).unwrap());
        if state["probes"]["list"].as_array().unwrap().iter().all(|probe| probe["reason"] != "not_yet") {
            break;
        }
        before += 1;
    }
    println!("{before} answers before the probes were there");
    assert_no_privileges(&daemon);
}

/// Of every thread of the daemon.
fn assert_no_privileges(daemon: &Daemon) {
    let threads = std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap();
    let mut seen = 0;
    for thread in threads {
        let status = std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        assert_unprivileged(&status);
        seen += 1;
    }
    assert!(seen > 0);
}

fn assert_unprivileged(status: &str) {
    for name in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert!(status.contains(&format!("{name}:\t0000000000000000\n")), "{status}");
    }
    assert!(status.contains("NoNewPrivs:\t1\n"), "{status}");
}
