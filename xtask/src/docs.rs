//! `cargo xtask docs`: the documentation that is made from the code. A test looks at it; here it is written.

use xtask::process;
use xtask::workspace::PACKAGE;

/// Writes `docs/metrics.md`.
pub fn run() -> anyhow::Result<()> {
    let mut command = process::cargo();
    command.args(["test", "--quiet", "--package", PACKAGE, "--test", "commands", "metrics_reference::"]);
    process::run(command.env("IPA_SIDECAR_WRITE_DOCS", "1"))?;
    println!("docs/metrics.md is written");
    Ok(())
}
