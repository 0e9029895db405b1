//! `cargo xtask build`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

use crate::bpf::Object;
use crate::prerequisites::{self, Purpose};
use crate::process;
use crate::workspace::{PACKAGE, target_directory};

/// The command that builds the release binary with these BPF programs in it.
pub fn command(object: &Object) -> Command {
    let mut command = process::cargo();
    command.args(["build", "--release", "--package", PACKAGE]);
    object.embed(&mut command);
    command
}

/// Where it then is.
pub fn binary() -> PathBuf {
    target_directory().join("release/ipa-sidecar")
}

/// Builds it, and gives its absolute path.
///
/// # Errors
/// Where something that a build needs is missing, or the build fails.
pub fn release() -> anyhow::Result<PathBuf> {
    prerequisites::ensure(Purpose::Build)?;
    process::run(&mut command(&Object::build()?))?;
    Ok(std::path::absolute(binary())?)
}

/// Builds it, and prints where it is and its size.
///
/// # Errors
/// As [`release`].
pub fn run() -> anyhow::Result<()> {
    release()?;
    let binary = binary();
    let size = std::fs::metadata(&binary).with_context(|| binary.display().to_string())?.len();
    println!("{}: {} KiB", binary.display(), size / 1024);
    Ok(())
}
