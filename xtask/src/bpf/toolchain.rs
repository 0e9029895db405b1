//! A compiler that can build for BPF: the one that a variable names, a nightly with the source of `core`, one that has
//! `core` for BPF built in, or Debian's, which is fetched.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::TARGET;
use crate::workspace::PACKAGE;
use crate::{Missing, process, rustc_web};

/// Names a toolchain of rustup's, or the path of a rustc.
const VARIABLE: &str = "IPA_SIDECAR_BPF_TOOLCHAIN";

/// The toolchain.
#[derive(Debug)]
pub struct Toolchain {
    rustc: PathBuf,
    /// Where its libLLVM is: bpf-linker uses the same.
    libraries: PathBuf,
    /// `core` has to be built first, from its source.
    build_std: bool,
}

/// Finds one, in the order above.
///
/// # Errors
/// [`Missing`], with the command that gets one.
pub fn find() -> anyhow::Result<Toolchain> {
    if let Some(name) = std::env::var_os(VARIABLE).filter(|name| !name.is_empty()) {
        let name = name.to_string_lossy().into_owned();
        let rustc = if name.contains('/') { Some(PathBuf::from(&name)) } else { of_rustup(&name) };
        let found = rustc.and_then(|rustc| with_core(&rustc).or_else(|| with_source(&rustc)));
        return found.ok_or_else(|| {
            Missing(format!(
                "{VARIABLE}={name:?} names no toolchain that has core for {TARGET}, and none with rust-src"
            ))
            .into()
        });
    }
    let names = rustup_toolchains();
    let mut nightlies =
        names.iter().filter(|name| name.starts_with("nightly")).filter_map(|name| of_rustup(name));
    if let Some(found) = nightlies.find_map(|rustc| with_source(&rustc)) {
        return Ok(found);
    }
    let all = names.iter().filter_map(|name| of_rustup(name)).chain([PathBuf::from("rustc")]);
    if let Some(found) = all.into_iter().find_map(|rustc| with_core(&rustc)) {
        return Ok(found);
    }
    if let Some(found) = rustc_web::prepared()?.and_then(|rustc| with_core(&rustc)) {
        return Ok(found);
    }
    Err(Missing(format!(
        "no compiler for the BPF programs; this gets one:\n  \
         rustup toolchain install nightly --component rust-src\n\
         or name one with {VARIABLE}; `cargo build --release -p {PACKAGE}` builds without the probes"
    ))
    .into())
}

impl Toolchain {
    /// Cargo, to build for BPF with it.
    pub fn cargo(&self) -> Command {
        let beside = self.rustc.with_file_name("cargo");
        let mut command = process::cargo();
        if self.build_std && beside.is_file() {
            command = Command::new(beside);
            command.args(["-Z", "build-std=core"]);
        }
        // aya-ebpf uses unstable inline assembly, which a stable compiler accepts only with this.
        command.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", &self.rustc);
        for name in ["RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS", "RUSTUP_TOOLCHAIN"] {
            command.env_remove(name);
        }
        command.env("LD_LIBRARY_PATH", &self.libraries);
        command
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.rustc.display())
    }
}

/// A toolchain with `core` for BPF.
fn with_core(rustc: &Path) -> Option<Toolchain> {
    let directory = rustc_web::asked(rustc, &["--print", "target-libdir", "--target", TARGET])?;
    let has_core = std::fs::read_dir(directory).ok()?.flatten().any(|file| {
        let name = file.file_name();
        name.to_string_lossy().starts_with("libcore-")
    });
    has_core.then(|| of(rustc, false))?
}

/// A toolchain with the source of `core`.
fn with_source(rustc: &Path) -> Option<Toolchain> {
    let root = rustc_web::asked(rustc, &["--print", "sysroot"])?;
    let source = Path::new(&root).join("lib/rustlib/src/rust/library/core/src/lib.rs");
    source.is_file().then(|| of(rustc, true))?
}

fn of(rustc: &Path, build_std: bool) -> Option<Toolchain> {
    let libraries = PathBuf::from(rustc_web::asked(rustc, &["--print", "sysroot"])?).join("lib");
    Some(Toolchain { rustc: rustc.to_owned(), libraries, build_std })
}

fn rustup_toolchains() -> Vec<String> {
    let listed = process::output(Command::new("rustup").args(["toolchain", "list"])).unwrap_or_default();
    listed.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

fn of_rustup(name: &str) -> Option<PathBuf> {
    process::output(Command::new("rustup").args(["which", "--toolchain", name, "rustc"]))
        .ok()
        .map(PathBuf::from)
}
