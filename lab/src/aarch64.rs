//! `cargo lab aarch64`: the release for 64-bit Arm, built here: every command in an emulator beside this machine's own
//! build, then boots in an emulated machine against a real Ironic.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

use anyhow::{Context, ensure};
use serde_json::Value;
use testbed::netns::Netns;
use xtask::prerequisites::{self, Purpose};
use xtask::{dist, process};

use crate::ramdisk;

const TARGET: &str = "aarch64-unknown-linux-gnu";
const EMULATOR: &str = "qemu-aarch64";
const API: &str = "--ironic.api-url=http://192.0.2.1:6385";
/// The node of the commands has an address, a route, and nobody who answers. A veth with the name of a VLAN passes for a NIC.
const NIC: &str = "eth0.77";
const NODE: &str = "addr add 192.0.2.5/24 dev eth0.77\nroute add default via 192.0.2.1";

/// What must be the same here and there.
#[derive(Clone, Copy, PartialEq)]
enum Same {
    /// Exit status and output.
    All,
    /// The exit status, and the names of the checks.
    Checks,
    /// The exit status, and what stands before the first space.
    FirstWord,
}

/// Each command of the sidecar, then of the fleet.
const SIDECAR: [(&[&str], Same); 9] = [
    (&["--version"], Same::FirstWord),
    (&["--help"], Same::All),
    (&["check-url", "http://172.25.134.128%20uid%200:9999"], Same::All),
    (&["check-url", "--json", "http://192.0.2.5:9999"], Same::All),
    (&["explain", "--json", API], Same::All),
    (&["params", API], Same::All),
    (&["doctor", "--json", API], Same::Checks),
    (&["status"], Same::All),
    (&["--no-such-flag"], Same::All),
];
const FLEET: [(&[&str], Same); 3] = [
    (&["--version"], Same::FirstWord),
    (&["explain-log", "/dev/null"], Same::All),
    (&["check", "--ironic.url=http://127.0.0.1:1"], Same::FirstWord),
];

/// Builds, compares and boots; the last line is what was done.
///
/// # Errors
/// Where something is missing, an output differs, or a ramdisk does not do what it should.
pub fn run() -> anyhow::Result<()> {
    prerequisites::ensure_root("aarch64")?;
    for purpose in [Purpose::Test, Purpose::Cross, Purpose::Emulate] {
        println!("prerequisites: {}", prerequisites::ensure(purpose)?);
    }
    let (theirs, ours) = (dist::all(TARGET, false)?, dist::all_here()?);
    let (netns, router) = (Netns::new()?, Netns::new()?);
    netns.join(NIC, &router, "router")?;
    netns.ip_lines(NODE)?;
    for ((theirs, ours), commands) in theirs.iter().zip(&ours).zip([&SIDECAR[..], &FLEET]) {
        process::run(Command::new("file").arg("--brief").arg(&theirs.binary))?;
        for (words, same) in commands {
            compare(&netns, &theirs.binary, &ours.binary, words, *same).with_context(|| words.join(" "))?;
        }
    }
    let started = Instant::now();
    println!("{}, {:.0} s", ramdisk::boot_for(TARGET)?, started.elapsed().as_secs_f64());
    Ok(())
}

fn compare(netns: &Netns, theirs: &Path, ours: &Path, words: &[&str], same: Same) -> anyhow::Result<()> {
    let mut emulated = netns.command(EMULATOR);
    let started = Instant::now();
    let theirs = emulated.arg(std::path::absolute(theirs)?).args(words).output()?;
    let took = started.elapsed();
    let ours = netns.command(std::path::absolute(ours)?).args(words).output()?;
    let text = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let (status, their_text, our_text) = (theirs.status.code(), text(&theirs), text(&ours));
    let error = String::from_utf8_lossy(&theirs.stderr).into_owned();
    ensure!(
        status.is_some() && status == ours.status.code(),
        "{} and {}: {error}",
        theirs.status,
        ours.status
    );
    let is_same = match same {
        Same::All => their_text == our_text,
        Same::Checks => checks(&their_text)? == checks(&our_text)?,
        Same::FirstWord => their_text.split(' ').next() == our_text.split(' ').next(),
    };
    ensure!(is_same, "emulated:\n{their_text}\nhere:\n{our_text}");
    let first = their_text.lines().chain(error.lines()).next().unwrap_or_default();
    println!("  {}: {status:?} as here, {:.1} s: {first}", words.join(" "), took.as_secs_f64());
    Ok(())
}

/// The names of doctor's checks.
fn checks(text: &str) -> anyhow::Result<Vec<String>> {
    let document: Value = serde_json::from_str(text).with_context(|| text.to_owned())?;
    let checks = document.pointer("/checks").and_then(Value::as_array).context("no checks")?;
    Ok(checks.iter().filter_map(|check| Some(check.get("name")?.as_str()?.to_owned())).collect())
}
