//! Cargo's own tools at a fixed version: from PATH, or installed into the cache.

use std::path::{Path, PathBuf};
use std::process::Command;

use testbed::cache;

use crate::process;

/// Finds or installs one; `takes` says how long that takes.
///
/// # Errors
/// Where it cannot be installed.
pub fn find(name: &str, version: &str, takes: &str) -> anyhow::Result<PathBuf> {
    let root = cache::directory()?.join(format!("{name}-{version}"));
    let cached = root.join("bin").join(name);
    let is_it = |program: &Path| {
        let answer = process::output(Command::new(program).arg("--version"));
        answer.is_ok_and(|text| text == format!("{name} {version}"))
    };
    for candidate in [Path::new(name), &cached] {
        if is_it(candidate) {
            return Ok(candidate.to_owned());
        }
    }
    let _lock = cache::lock(name)?;
    if !is_it(&cached) {
        println!("installing {name} {version} into {}, once: {takes}", root.display());
        let mut command = process::cargo();
        // --debug: it runs for seconds, and builds in half the time.
        command.args(["install", name, "--version", version, "--locked", "--debug", "--force"]);
        // Not into our target directory, wherever that is.
        command.arg("--root").arg(&root).env_remove("CARGO_TARGET_DIR");
        process::run(&mut command)?;
    }
    Ok(cached)
}
