//! `cargo xtask build`.

use anyhow::Context;

use crate::process;

/// Builds the release binary and says where it is.
pub fn run() -> anyhow::Result<()> {
    process::run(process::cargo().args(["build", "--release", "--package", "agent-user"]))?;
    let directory = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let binary = std::path::Path::new(&directory).join("release/ipa-sidecar");
    let size = std::fs::metadata(&binary)
        .with_context(|| binary.display().to_string())?
        .len();
    println!("{}: {} KiB", binary.display(), size / 1024);
    Ok(())
}
