//! Puts the revision and the compiler's version into the binary, for `build_info`, and with the feature `ebpf` the object
//! of the BPF programs.

use std::path::Path;
use std::process::{Command, ExitCode};

/// Where the object is: `cargo xtask` builds it and sets this.
const OBJECT: &str = "IPA_SIDECAR_EBPF_OBJECT";

fn main() -> ExitCode {
    build_info();
    if std::env::var_os("CARGO_FEATURE_EBPF").is_none() {
        return ExitCode::SUCCESS;
    }
    match take_object() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("cargo::error=feature ebpf: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Copies the object of the BPF programs to where `probes::load` includes it from.
fn take_object() -> Result<(), String> {
    println!("cargo::rerun-if-env-changed={OBJECT}");
    let object = std::env::var(OBJECT).map_err(|_| {
        format!(
            "{OBJECT} does not name the BPF programs' object; `cargo xtask build` builds it and sets this"
        )
    })?;
    println!("cargo::rerun-if-changed={object}");
    let directory = std::env::var("OUT_DIR").map_err(|error| format!("OUT_DIR: {error}"))?;
    std::fs::copy(&object, Path::new(&directory).join("agent-ebpf"))
        .map(drop)
        .map_err(|error| format!("{OBJECT}={object}: {error}"))
}

fn build_info() {
    let first_line = |program: &str, arguments: &[&str]| {
        // A build script runs at build time only; the daemon itself runs no subprocess.
        #[allow(clippy::disallowed_methods)]
        let output =
            Command::new(program).args(arguments).output().ok().filter(|output| output.status.success());
        output.and_then(|output| String::from_utf8(output.stdout).ok()?.lines().next().map(str::to_owned))
    };
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let revision =
        first_line("git", &["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    let version = first_line(&rustc, &["--version"]).unwrap_or_else(|| "unknown".to_owned());
    let version = version.split(' ').nth(1).unwrap_or("unknown").to_owned();
    println!("cargo::rustc-env=BUILD_REVISION={revision}");
    println!("cargo::rustc-env=BUILD_RUSTC={version}");
    println!("cargo::rerun-if-changed=build.rs");
    if let Some(log) = first_line("git", &["rev-parse", "--path-format=absolute", "--git-path", "logs/HEAD"])
    {
        println!("cargo::rerun-if-changed={log}");
    }
}
