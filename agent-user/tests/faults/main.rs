//! The faults that no other test program has: each with what must come of it. `docs/faults.md` is the matrix of all, and
//! `cargo xtask faults` runs it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs
)]

#[path = "../daemon_setup/mod.rs"]
mod daemon_setup;

mod clock;
mod disk;
mod dns;
mod hostile;
mod kernel;
mod limits;
mod memory;
mod signals;
mod streams;

use std::process::Command;
use std::time::Duration;

use daemon_setup::*;
use rustix::process::{Pid, Signal, kill_process};
use testbed::daemon::Daemon;

/// A row of the matrix: what was seen, in a few words.
fn seen(words: impl std::fmt::Display) {
    println!("seen: {words}");
}

/// The daemon of a site under other programs, which end where `ipa-sidecar` begins.
fn daemon_under(site: &Site, words: &[&str], flags: &[&str]) -> Daemon {
    let mut command = site.node.command(words[0]);
    command.args(&words[1..]).arg(BINARY).arg("run").args(Daemon::isolation()).args(flags);
    Daemon::from_command(command, &site.node).unwrap()
}

/// The daemon under strace, which injects a fault into its system calls: `inject` as strace(1) has it, for those on
/// `paths` where there are any.
fn daemon_with_injected(site: &Site, inject: &str, paths: &[&str], flags: &[&str]) -> Daemon {
    let expression = format!("inject={inject}");
    let mut words = vec!["strace", "-f", "-qq", "-o", "/dev/null", "-e", expression.as_str()];
    words.extend(paths.iter().flat_map(|path| ["-P", path]));
    words.extend(["setpriv", "--pdeathsig", "KILL", "--"]); // Else it runs on where strace is killed.
    daemon_under(site, &words, flags)
}

/// Whether strace is here; without it that is said, and in CI it is a failure.
fn has_strace() -> bool {
    let found = Command::new("strace").arg("-V").output().is_ok();
    assert!(found || std::env::var_os("CI").is_none(), "CI has strace");
    if !found {
        eprintln!("SKIP: strace is not installed");
    }
    found
}

/// The process that a daemon under strace is: the only child of strace.
fn traced(daemon: &Daemon) -> Pid {
    let strace = daemon.pid();
    let child = || {
        let children = std::fs::read_to_string(format!("/proc/{strace}/task/{strace}/children")).ok()?;
        Pid::from_raw(children.trim().parse().ok()?)
    };
    daemon.wait("the traced daemon", SOON, child).unwrap()
}

/// Ends a daemon under strace.
fn end_traced(daemon: &mut Daemon) {
    kill_process(traced(daemon), Signal::TERM).unwrap();
    assert_eq!(daemon.ended(SOON).unwrap().code(), Some(0), "{}", daemon.log());
}

fn pid(daemon: &Daemon) -> Pid {
    Pid::from_raw(i32::try_from(daemon.pid()).unwrap()).unwrap()
}

/// The address goes and another comes; the daemon follows.
fn follows_a_change(site: &Site, daemon: &Daemon) {
    site.remove(FIRST);
    site.add(SECOND);
    daemon.wait_address(Some(SECOND), SOON).unwrap();
    site.remove(SECOND);
    site.add(FIRST);
    daemon.wait_address(Some(FIRST), SOON).unwrap();
}

/// Resident memory in KiB.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn open_files(daemon: &Daemon) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count()
}

/// How long the pages may take to answer while something is wrong.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
