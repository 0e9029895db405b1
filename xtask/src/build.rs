//! `cargo xtask build`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::bpf::Object;
use crate::{prerequisites, process};

/// The command that builds it, with the BPF programs in it.
///
/// # Errors
/// Where the BPF programs cannot be built.
pub fn command() -> anyhow::Result<Command> {
    Ok(command_with(&Object::build()?))
}

/// The same with BPF programs that are built already.
pub fn command_with(object: &Object) -> Command {
    let mut command = process::cargo();
    command.args(["build", "--release", "--package", "agent-user"]);
    object.embed(&mut command);
    command
}

/// Where it then is.
pub fn binary() -> PathBuf {
    let directory = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    Path::new(&directory).join("release/ipa-sidecar")
}

/// Builds the release binary and says where it is.
pub fn run() -> anyhow::Result<()> {
    prerequisites::ensure_to_build()?;
    process::run(&mut command()?)?;
    let binary = binary();
    let size = std::fs::metadata(&binary).with_context(|| binary.display().to_string())?.len();
    println!("{}: {} KiB", binary.display(), size / 1024);
    Ok(())
}
