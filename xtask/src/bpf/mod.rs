//! The BPF programs: the compiler for them, their object, and cargo commands that embed it.

mod strip;
mod toolchain;

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

use crate::workspace::{PACKAGE, target_directory};
use crate::{process, tool};

/// What `agent-user/build.rs` takes the object from.
const VARIABLE: &str = "IPA_SIDECAR_EBPF_OBJECT";
/// Little-endian, as all machines with Ironic's ramdisks are.
const TARGET: &str = "bpfel-unknown-none";
/// The newest that finds the LLVM of the compiler by itself: later ones want LLVM's headers (734 MB) installed.
const LINKER_VERSION: &str = "0.10.3";

/// A built object; commands can embed it.
pub struct Object(PathBuf);

impl Object {
    /// Builds it for this machine's architecture.
    ///
    /// # Errors
    /// As [`Object::build_for`].
    pub fn build() -> anyhow::Result<Self> {
        Self::build_for(std::env::consts::ARCH)
    }

    /// Builds it, after finding or preparing what that needs. The programs on libssl read the registers of their caller;
    /// all others are the same on each architecture.
    ///
    /// # Errors
    /// [`crate::Missing`] with the command that would help, where there is no compiler for BPF; else where the build
    /// fails.
    pub fn build_for(architecture: &str) -> anyhow::Result<Self> {
        let toolchain = toolchain::find()?;
        let linker = tool::find("bpf-linker", LINKER_VERSION, "one to three minutes")?;
        let directory = target_directory().join(directory_of(architecture));
        let mut command = toolchain.cargo();
        command.args(["build", "--quiet", "--release", "--package", "agent-ebpf", "--bin", "agent-ebpf"]);
        command.args(["--features", "programs", "--target", TARGET, "--target-dir"]).arg(&directory);
        let flags = [
            &format!("--cfg=bpf_target_arch=\"{architecture}\""),
            "-Cdebuginfo=2",
            "-Ctarget-cpu=v3", // Exchanges (Linux 5.12) want it; the rest is for Linux 5.1 and newer.
            "-Clink-arg=--btf",
            &format!("-Clinker={}", linker.display()),
        ];
        command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
        process::run(&mut command).with_context(|| format!("with {toolchain}"))?;
        let built = directory.join(TARGET).join("release/agent-ebpf");
        let object = std::fs::read(&built).with_context(|| built.display().to_string())?;
        let stripped = std::path::absolute(built.with_extension("o"))?;
        let content = strip::strip(&object)?;
        // Left as it is where it is the same: the daemon is built again when it changes.
        if std::fs::read(&stripped).ok().as_ref() != Some(&content) {
            std::fs::write(&stripped, content).with_context(|| stripped.display().to_string())?;
        }
        Ok(Self(stripped))
    }

    /// Makes a cargo command build the daemon with it.
    pub fn embed(&self, command: &mut Command) {
        command.args(["--features", &feature()]).env(VARIABLE, &self.0);
    }

    /// Its size in KiB, for people.
    ///
    /// # Errors
    /// Where the file is gone.
    pub fn describe(&self) -> anyhow::Result<String> {
        let size = std::fs::metadata(&self.0).with_context(|| self.0.display().to_string())?.len();
        Ok(format!("object of {} KiB", size / 1024))
    }
}

/// Below `target`: one for each architecture, as cargo would build all again for the other one.
fn directory_of(architecture: &str) -> String {
    match architecture {
        std::env::consts::ARCH => "bpf".to_owned(),
        other => format!("bpf-{other}"),
    }
}

/// The feature of the daemon that embeds it, as cargo wants it of the whole workspace.
pub fn feature() -> String {
    format!("{PACKAGE}/ebpf")
}
