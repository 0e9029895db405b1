//! The worst bodies of 1 MiB that others can send, to a daemon that may have 64 MiB, as its unit gives it.

#[cfg(feature = "ebpf")]
use std::io::{Read, Write};
#[cfg(feature = "ebpf")]
use std::net::{Shutdown, TcpStream};
use std::path::{Path as File, PathBuf};

use testbed::stand_in::{Fault, Path};

#[cfg(feature = "ebpf")]
use super::shapes::bodies;
use super::*;

/// As the unit has it (`MemoryMax=`).
const LIMIT: &str = "67108864";
const LENGTH: usize = 1 << 20;

/// A control group with little memory, by the first or second version of them.
struct Group {
    path: PathBuf,
    is_second: bool,
}

impl Group {
    /// `None` where there is no controller of memory.
    fn new(name: &str) -> Option<Self> {
        let (first, second) = (File::new("/sys/fs/cgroup/memory"), File::new("/sys/fs/cgroup"));
        let is_second = !first.join("memory.limit_in_bytes").exists();
        let parent = if is_second { second } else { first };
        if is_second {
            let _ = std::fs::write(parent.join("cgroup.subtree_control"), "+memory");
        }
        let path = parent.join(format!("ipa-sidecar-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).ok()?;
        let group = Self { path, is_second };
        let file = if is_second { "memory.max" } else { "memory.limit_in_bytes" };
        std::fs::write(group.path.join(file), LIMIT).ok()?;
        let _ = std::fs::write(group.path.join("memory.swap.max"), "0"); // Not there without swap.
        Some(group)
    }

    fn start(&self, site: &Site, flags: &[&str]) -> Daemon {
        let script = "echo $$ > \"$0/cgroup.procs\"; exec \"$@\"";
        site.daemon_under(&["sh", "-ec", script, self.path.to_str().unwrap()], flags)
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path.join(file)).unwrap()
    }

    /// The most that it ever had, in KiB: the daemon, its files in the page cache, and what the kernel keeps for it.
    fn peak(&self) -> u64 {
        let file = if self.is_second { "memory.peak" } else { "memory.max_usage_in_bytes" };
        self.read(file).trim().parse::<u64>().unwrap() >> 10
    }

    #[track_caller]
    fn assert_alive(&self, daemon: &Daemon, after: &str) {
        let file = if self.is_second { "memory.events" } else { "memory.oom_control" };
        let events = self.read(file);
        assert!(events.lines().any(|line| line == "oom_kill 0"), "{after}: {events}");
        assert_eq!(daemon.get("/-/healthy").unwrap().status, 200, "{after}");
        let longest = daemon.log().lines().map(str::len).max().unwrap_or_default();
        assert!(longest < 4096, "{after}: a line of {longest} bytes in the log");
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let empty = || std::fs::remove_dir(&self.path).is_ok();
        let _ = (0..50).any(|_| {
            empty() || {
                std::thread::sleep(Duration::from_millis(20));
                false
            }
        });
    }
}

/// Sends it and reads what comes back, whatever that is.
#[cfg(feature = "ebpf")]
fn send(site: &Site, address: &str, request: &[u8]) {
    let mut stream = site.node.enter(|| TcpStream::connect(address).unwrap()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut reader = stream.try_clone().unwrap();
    let reading = std::thread::spawn(move || {
        let _ = reader.read_to_end(&mut Vec::new());
    });
    let _ = stream.write_all(request);
    let _ = stream.shutdown(Shutdown::Write);
    reading.join().unwrap();
}

#[cfg(feature = "ebpf")]
#[test]
fn a_guard_of_64_mib_survives_the_worst_requests() {
    root_test!();
    let Some(group) = Group::new("guard") else {
        testbed::have("a control group of memory", false);
        return;
    };
    let site = Site::new();
    let _ironic = site.ironic(node_with_mac());
    let config = site.directory.config_dir();
    let mut daemon = group.start(&site, &["--mode=guard", &config, API_FLAG]);
    wait_drop_in(&daemon, FIRST, LATER);
    wait_redirect(&daemon);
    let before = group.peak();
    let mut sent = 0;
    let head = format!("POST /v1/heartbeat/{NODE} HTTP/1.1\r\nHost: x\r\nContent-Length: ");
    for (before, after) in [
        (&b"{\"callback_url\":\"http://127.0.0.1:9999\",\"x\":{"[..], &b"\"z\":0}}"[..]),
        (b"{", b"\"callback_url\":\"http://127.0.0.1:9999\"}"),
        (b"{\"callback_url\":\"http://127.0.0.1:9999/", b"\"}"),
    ] {
        for (name, body) in bodies(LENGTH, before, after).step_by(3) {
            let request =
                [format!("{head}{}\r\nConnection: close\r\n\r\n", body.len()).as_bytes(), &body].concat();
            send(&site, API, &request);
            group.assert_alive(&daemon, &name);
            sent += 1;
        }
    }
    for (name, body) in bodies(LENGTH, b"", b"").step_by(3) {
        send(&site, API, &body);
        send(&site, WEB, &body);
        send(
            &site,
            WEB,
            &[b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n", &body[..]].concat(),
        );
        group.assert_alive(&daemon, &name);
        sent += 3;
    }
    let after = group.peak();
    assert_ends(&mut daemon, "the worst requests");
    seen(format!(
        "alive after {sent} bodies of 1 MiB: most memory {before} KiB before, {after} KiB in the end"
    ));
}

#[test]
fn an_agent_of_64_mib_survives_the_worst_answers() {
    root_test!();
    let Some(group) = Group::new("agent") else {
        testbed::have("a control group of memory", false);
        return;
    };
    let site = Site::new();
    let ironic = site.ironic(fast());
    let keys: String = (0..120_000).map(|number| format!("\"{number:x}\":0,")).collect();
    let config = "\"config\":{\"heartbeat_timeout\":10}";
    for body in [
        format!("{{{keys}\"node\":{{}},{config}}}"),
        format!("{{\"node\":{{\"uuid\":\"{}\"}},{config}}}", "agent_token".repeat(90_000)),
        format!("{{\"node\":{{\"uuid\":{}", "[".repeat(LENGTH - 20)),
    ] {
        ironic.push_fault(Path::Lookup, Fault::Status(200, body));
    }
    ironic.push_fault(Path::Lookup, Fault::Status(503, "\u{202e}".repeat(LENGTH / 3)));
    ironic.push_fault(Path::Heartbeat, Fault::Error(400, "agent_token=\\\"\n".repeat(LENGTH / 32)));
    let mut daemon = group.start(&site, &["--mode=agent", API_FLAG, WITHOUT_LISTENER]);
    wait_metric(&daemon, ACCEPTED, 1.0, Duration::from_secs(120));
    group.assert_alive(&daemon, "the answers");
    let peak = group.peak();
    assert_ends(&mut daemon, "the worst answers");
    seen(format!("alive after five answers of 1 MiB: most memory {peak} KiB"));
}
