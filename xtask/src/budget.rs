//! `cargo xtask budget`: what foreign bytes cost at most, measured in an optimised build.

use xtask::process;
use xtask::workspace::PACKAGE;

/// Measures, and prints the table. A debug build is too slow for the limits: there the tests look only at how the work grows.
///
/// # Errors
/// Where a reader takes more time or memory than docs/promises.md has.
pub fn run() -> anyhow::Result<String> {
    let mut command = process::cargo();
    command.args(["test", "--profile=measured", "--package", PACKAGE, "--test", "budget"]);
    process::run(command.args(["--", "--nocapture"]))?;
    Ok("every reader of foreign bytes keeps to its budget".to_owned())
}
