//! `cargo xtask docs`: the documentation that is written from the code. Its tests compare it; here one of them writes.

use crate::process;

/// Writes `docs/metrics.md`.
pub fn run() -> anyhow::Result<()> {
    let mut command = process::cargo();
    command.args(["test", "--quiet", "--package", "agent-user", "--test", "metrics_reference"]);
    process::run(command.env("IPA_SIDECAR_WRITE_DOCS", "1"))?;
    println!("docs/metrics.md is written");
    Ok(())
}
