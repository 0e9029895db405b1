//! What the tests look at and wait for.

use std::io::{Read, Seek, SeekFrom};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{LATER, SOON};
use crate::daemon::Daemon;
use crate::netns::Netns;
use crate::stand_in::{Recorded, StandIn};

/// The value of a sample; 0 where there is none.
pub fn metric(daemon: &Daemon, sample: &str) -> f64 {
    daemon.metric(sample).unwrap().unwrap_or_default()
}

/// Waits until a sample is this.
#[track_caller]
pub fn wait_metric(daemon: &Daemon, sample: &str, value: f64, limit: Duration) {
    let is_so = || daemon.metric(sample).is_ok_and(|found| found == Some(value));
    wait_until(daemon, &format!("{sample} {value}"), limit, is_so);
}

/// Waits until this holds.
#[track_caller]
pub fn wait_until(daemon: &Daemon, what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    daemon.wait(what, limit, || holds().then_some(())).unwrap();
}

/// Demands that a text holds all of these.
#[track_caller]
pub fn assert_names(text: impl AsRef<str>, names: &[impl AsRef<str>]) {
    let text = text.as_ref();
    for name in names.iter().map(AsRef::as_ref) {
        assert!(text.contains(name), "{name:?} in {text}");
    }
}

/// Waits until a counter is above 0; gives it.
#[track_caller]
pub fn wait_counted(daemon: &Daemon, sample: &str, limit: Duration) -> f64 {
    let count = || daemon.metric(sample).ok()?.filter(|count| *count > 0.0);
    daemon.wait(&format!("{sample} above 0"), limit, count).unwrap()
}

/// Waits for a phase of agent mode.
#[track_caller]
pub fn wait_phase(daemon: &Daemon, phase: &str) -> Value {
    daemon.wait_state(phase, LATER, |state| state["agent"]["phase"] == phase).unwrap()
}

/// Waits until the drop-in of this address is on disk.
#[track_caller]
pub fn wait_drop_in(daemon: &Daemon, address: &str, limit: Duration) {
    let is_so = |state: &Value| {
        let drop_in = &state["dropin"];
        drop_in["state"] == "written" && drop_in["address"] == address
    };
    daemon.wait_state(&format!("the drop-in of {address}"), limit, is_so).unwrap();
}

/// Status and text of `/-/ready`.
pub fn ready(daemon: &Daemon) -> (u16, String) {
    let answer = daemon.get("/-/ready").unwrap();
    (answer.status, answer.text())
}

/// Demands status 503, and a text of readiness that names all of these.
#[track_caller]
pub fn assert_unready(daemon: &Daemon, names: &[&str]) {
    let (status, text) = ready(daemon);
    assert_eq!(status, 503, "{text}");
    assert_names(text, names);
}

/// Demands that it ends with exit code 0 within 2 s of SIGTERM.
#[track_caller]
pub fn assert_ends(daemon: &mut Daemon, state: &str) {
    let (status, time) = daemon.terminate().unwrap();
    assert_eq!(status.code(), Some(0), "{state}: {status}\n{}", daemon.log());
    assert!(time < Duration::from_secs(2), "{state}: {time:?}");
}

/// Demands that it ends by itself with this exit code, and that its log names all of these.
#[track_caller]
pub fn assert_refuses(daemon: &mut Daemon, code: i32, names: &[&str]) {
    let status = daemon.ended(SOON).unwrap();
    assert_eq!(status.code(), Some(code), "{}", daemon.log());
    assert_names(daemon.log(), names);
}

/// Its process id.
pub fn pid(daemon: &Daemon) -> Pid {
    Pid::from_raw(i32::try_from(daemon.pid()).unwrap()).unwrap()
}

/// Sends a signal.
pub fn signal(daemon: &Daemon, signal: Signal) {
    kill_process(pid(daemon), signal).unwrap();
}

/// The daemon under strace: the only child of `strace`.
pub fn traced(strace: &Daemon) -> Pid {
    let id = strace.pid();
    let child = || {
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
        Pid::from_raw(children.trim().parse().ok()?)
    };
    strace.wait("the traced daemon", SOON, child).unwrap()
}

/// Ends a daemon under strace.
pub fn end_traced(strace: &mut Daemon) {
    kill_process(traced(strace), Signal::TERM).unwrap();
    assert_eq!(strace.ended(SOON).unwrap().code(), Some(0), "{}", strace.log());
}

/// Demands that every line of a text log begins with its time and level, and that no control character is in any.
#[track_caller]
pub fn assert_no_forgery(log: &str) {
    assert!(!log.is_empty());
    for line in log.lines() {
        let (time, rest) = line.split_once(' ').unwrap_or_else(|| panic!("{line:?}"));
        assert!(time.len() == 27 && time.starts_with('2') && time.ends_with('Z'), "{line:?}");
        let level = rest.trim_start().split(' ').next().unwrap();
        assert!(["TRACE", "DEBUG", "INFO", "WARN", "ERROR"].contains(&level), "{line:?}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
}

/// How many files it has open.
pub fn open_files(daemon: &Daemon) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count()
}

/// Resident memory of a process in KiB.
pub fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// How often the bytes stand in the writable memory of a process.
pub fn copies_in_memory(process: u32, wanted: &[u8]) -> usize {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let mut memory = std::fs::File::open(format!("/proc/{process}/mem")).unwrap();
    let mut found = 0;
    for line in
        maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rw")))
    {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [from, to] = [from, to].map(|text| u64::from_str_radix(text, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        memory.seek(SeekFrom::Start(from)).unwrap();
        if memory.read_exact(&mut bytes).is_ok() {
            found += bytes.windows(wanted.len()).filter(|window| *window == wanted).count();
        }
    }
    found
}

/// The requests that reached Ironic on this path, or below it where it ends in a slash.
pub fn seen(ironic: &StandIn, path: &str) -> Vec<Recorded> {
    let is_there = |found: &str| found == path || path.ends_with('/') && found.starts_with(path);
    ironic.requests().into_iter().filter(|request| is_there(request.path())).collect()
}

/// The heartbeats that reached Ironic.
pub fn beats(ironic: &StandIn) -> Vec<Recorded> {
    seen(ironic, "/v1/heartbeat/")
}

/// Their callback URLs.
pub fn beat_urls(ironic: &StandIn) -> Vec<String> {
    let url = |beat: Recorded| beat.json()["callback_url"].as_str().unwrap().to_owned();
    beats(ironic).into_iter().map(url).collect()
}

/// Waits until so many heartbeats have reached Ironic.
#[track_caller]
pub fn wait_beats(daemon: &Daemon, ironic: &StandIn, count: usize, limit: Duration) {
    wait_until(daemon, &format!("{count} heartbeats"), limit, || beats(ironic).len() >= count);
}

/// Waits until a request has reached Ironic.
pub fn wait_request(daemon: &Daemon, ironic: &StandIn) {
    wait_until(daemon, "a request", SOON, || !ironic.requests().is_empty());
}

/// Sends bytes from inside a namespace and reads the answer until its end.
pub fn raw(netns: &Netns, address: &str, request: &str) -> std::io::Result<String> {
    use std::io::{Read, Write};
    netns.enter(|| {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    })?
}
