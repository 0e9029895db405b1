//! Puts the revision and the compiler's version into the binary, for `build_info`.

use std::process::Command;

fn main() {
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
    println!("cargo::rustc-env=IPA_SIDECAR_REVISION={revision}");
    println!("cargo::rustc-env=IPA_SIDECAR_RUSTC={version}");
    println!("cargo::rerun-if-changed=build.rs");
    if let Some(log) = first_line("git", &["rev-parse", "--path-format=absolute", "--git-path", "logs/HEAD"])
    {
        println!("cargo::rerun-if-changed={log}");
    }
}
