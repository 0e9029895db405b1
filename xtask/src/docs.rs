//! `cargo xtask docs`: the files that are made from others. Tests and checks look at them; here they are written.

use xtask::dashboards::kubernetes;
use xtask::process;
use xtask::workspace::PACKAGE;

/// Writes `docs/metrics.md` and the alert rules for Kubernetes.
pub fn run() -> anyhow::Result<()> {
    let mut command = process::cargo();
    command.args(["test", "--quiet", "--package", PACKAGE, "--test", "commands", "metrics_reference::"]);
    process::run(command.env("IPA_SIDECAR_WRITE_DOCS", "1"))?;
    kubernetes::write()?;
    println!("docs/metrics.md and {}/prometheusrule.yaml are written", kubernetes::DIRECTORY);
    Ok(())
}
