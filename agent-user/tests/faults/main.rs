//! The faults that no other test program has: each with what must come of it. `docs/faults.md` is the matrix of all, and
//! `cargo xtask faults` runs it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, missing_docs)]

mod budget;
mod client;
mod clock;
mod disk;
mod dns;
mod hostile;
mod kernel;
mod limits;
mod memory;
#[cfg(feature = "ebpf")]
#[path = "../budget/shapes.rs"]
mod shapes;
mod signals;
mod streams;

use std::time::Duration;

use rustix::process::Signal;
use testbed::daemon::Daemon;
use testbed::root_test;
use testbed::site::*;

/// A row of the matrix: what was seen, in a few words.
fn seen(words: impl std::fmt::Display) {
    println!("seen: {words}");
}

/// The daemon under strace, which injects a fault into its system calls: `inject` as strace(1) has it, for those on
/// `paths` where there are any.
fn daemon_with_injected(site: &Site, inject: &str, paths: &[&str], flags: &[&str]) -> Daemon {
    let expression = format!("inject={inject}");
    let mut words = vec!["strace", "-f", "-qq", "-o", "/dev/null", "-e", expression.as_str()];
    words.extend(paths.iter().flat_map(|path| ["-P", path]));
    words.extend(["setpriv", "--pdeathsig", "KILL", "--"]); // Else it runs on where strace is killed.
    site.daemon_under(&words, flags)
}

/// The address goes and another comes; the daemon follows.
fn follows_a_change(site: &Site, daemon: &Daemon) {
    site.change(FIRST, SECOND);
    daemon.wait_address(Some(SECOND), SOON).unwrap();
    site.change(SECOND, FIRST);
    daemon.wait_address(Some(FIRST), SOON).unwrap();
}

/// How long the pages may take to answer while something is wrong.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
