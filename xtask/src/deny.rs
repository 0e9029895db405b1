//! Licences, duplicate versions and sources of the dependencies, as deny.toml allows them.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use testbed::cache;

use crate::process;

/// A version that Rust 1.88 can build.
const VERSION: &str = "0.20.2";

/// Checks them; installs cargo-deny first where it is missing.
///
/// Security advisories are left to whoever can download the advisory database.
pub fn run() -> anyhow::Result<String> {
    let program = program()?;
    process::run(Command::new(program).args(["--workspace", "check", "licenses", "bans", "sources"]))?;
    Ok(String::new())
}

/// cargo-deny of our version: from PATH, or from the cache.
fn program() -> anyhow::Result<PathBuf> {
    let root = cache::directory()?.join(format!("cargo-deny-{VERSION}"));
    let cached = root.join("bin/cargo-deny");
    for candidate in [PathBuf::from("cargo-deny"), cached.clone()] {
        if is_version(&candidate) {
            return Ok(candidate);
        }
    }
    println!("installing cargo-deny {VERSION} into {}, once: one to three minutes", root.display());
    let _lock = cache::lock("cargo-deny")?;
    if !is_version(&cached) {
        let mut command = process::cargo();
        // --debug: it runs for a second, and builds in half the time.
        command.args(["install", "cargo-deny", "--version", VERSION, "--locked", "--debug", "--force"]);
        // Not into our target directory, wherever that is.
        command.arg("--root").arg(&root).env_remove("CARGO_TARGET_DIR");
        process::run(&mut command)?;
    }
    Ok(cached)
}

fn is_version(program: &PathBuf) -> bool {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    output.is_ok_and(|output| {
        output.status.success()
            && String::from_utf8_lossy(&output.stdout).trim() == format!("cargo-deny {VERSION}")
    })
}
