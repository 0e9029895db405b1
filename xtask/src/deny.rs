//! Licences, duplicate versions and sources of the dependencies, as deny.toml allows them.

use std::process::Command;

use xtask::{process, tool};

/// A version that Rust 1.88 can build.
const VERSION: &str = "0.20.2";

/// Checks them; installs cargo-deny first where it is missing.
///
/// Security advisories are left to whoever can download the advisory database.
pub fn run() -> anyhow::Result<String> {
    let program = tool::find("cargo-deny", VERSION, "one to three minutes")?;
    process::run(Command::new(program).args(["--workspace", "check", "licenses", "bans", "sources"]))?;
    Ok(String::new())
}
