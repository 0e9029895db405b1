//! bpf-linker: from PATH, or installed into the cache.

use std::path::{Path, PathBuf};
use std::process::Command;

use testbed::cache;

use super::toolchain::{Toolchain, output, say};
use crate::process;

/// The newest that finds the LLVM of the compiler by itself: later ones want LLVM's headers (734 MB) installed.
const VERSION: &str = "0.10.3";

/// A linker of our version. The compiler is only named where it has to be built.
///
/// # Errors
/// Where it cannot be installed.
pub fn find(toolchain: &Toolchain) -> anyhow::Result<PathBuf> {
    let root = cache::directory()?.join(format!("bpf-linker-{VERSION}"));
    let cached = root.join("bin/bpf-linker");
    for candidate in [Path::new("bpf-linker"), &cached] {
        if is_version(candidate) {
            return Ok(candidate.to_owned());
        }
    }
    let _lock = cache::lock("bpf-linker")?;
    if !is_version(&cached) {
        say(&format!(
            "installing bpf-linker {VERSION} for {toolchain} into the cache, once: one to three minutes"
        ))?;
        let mut command = process::cargo();
        // --debug: it links one small object, and builds in half the time.
        command.args(["install", "bpf-linker", "--version", VERSION, "--locked", "--debug", "--force"]);
        command.arg("--root").arg(&root).env_remove("CARGO_TARGET_DIR");
        process::run(&mut command)?;
    }
    Ok(cached)
}

fn is_version(program: &Path) -> bool {
    output(Command::new(program).arg("--version")).is_some_and(|text| text == format!("bpf-linker {VERSION}"))
}
