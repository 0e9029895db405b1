//! The real Ironic and the real ironic-python-agent: with each other, with mode agent, with the guard between them,
//! and with nothing between them that sight sees.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, missing_docs)]

mod agent;
mod database;
mod front;
#[cfg(feature = "ebpf")]
mod guard;
mod ipa_control;
mod ironic_control;
mod sight;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use testbed::ironic::{Options, RealIronic};
use testbed::site::{MAC, Site};

/// Ironic's heartbeat timeout, in seconds: IPA's beats come every 3 to 6 s, after a failure every 5 to 10 s.
const HEARTBEAT_TIMEOUT: u32 = 10;
/// For anything of IPA's or Ironic's, on a machine with other work.
const PATIENCE: Duration = Duration::from_secs(60);

/// The real Ironic on the conductor of a site; it knows the node by its MAC.
fn start_ironic(site: &Site, options: Options) -> RealIronic {
    let netns = Some(Arc::clone(&site.conductor));
    let macs = vec![MAC.to_owned()];
    RealIronic::start(&Options { heartbeat_timeout: HEARTBEAT_TIMEOUT, macs, netns, ..options }).unwrap()
}

/// Waits until Ironic has recorded a callback URL, and gives it.
fn wait_recorded(ironic: &RealIronic) -> String {
    eventually("a URL is recorded", PATIENCE, || ironic.agent_url().unwrap().is_some());
    ironic.agent_url().unwrap().unwrap()
}

/// Waits until Ironic has recorded one more heartbeat.
fn wait_beat(ironic: &RealIronic) {
    let beat = || ironic.agent_last_heartbeat().unwrap();
    let last = beat();
    eventually("another heartbeat", PATIENCE, || beat().is_some() && beat() != last);
}

fn eventually(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Runs a test of this program that starts a `server` and prints "it runs", and kills it; nothing may stay.
fn leaves_nothing_when_killed(test: &str, server: &str) {
    let arguments = ["--exact", test, "--ignored", "--nocapture"];
    let mut test = Command::new(std::env::current_exe().unwrap())
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(test.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.ends_with("it runs")), "the other test failed");
    let name = format!("ipa-sidecar-{server}-{}-0", test.id());
    let directory = std::env::temp_dir().join(&name);
    assert!(directory.exists());
    assert!(processes_with(&name) >= 2, "the server and its guardian run");
    test.kill().unwrap();
    test.wait().unwrap();
    let limit = Duration::from_secs(10);
    eventually("no process is left", limit, || processes_with(&name) == 0);
    eventually("no file is left", limit, || !directory.exists());
    assert!(!std::fs::read_to_string("/proc/mounts").unwrap().contains(&name));
}

/// How many processes have the text in their command line.
fn processes_with(text: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(text)).count()
}
