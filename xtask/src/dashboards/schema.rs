//! The boards against Grafana's own typed model.

use std::path::PathBuf;
use std::process::Command;

use testbed::grafana;

use crate::process;

/// As seen from the root of the repository, where xtask works.
const SCRIPT: &str = "xtask/src/dashboards/typed.py";

/// Loads each board into the model and writes it back; what is lost, Grafana does not know.
///
/// # Errors
/// Where the model cannot be installed, or a board has a key that it does not know.
pub fn round_trip(files: &[PathBuf]) -> anyhow::Result<()> {
    let python = grafana::python(&mut |line| println!("{line}"))?;
    process::run(Command::new(python).arg(SCRIPT).args(files))
}
