//! `cargo xtask budget`: what foreign bytes cost at most, measured in the profile of the release.

use xtask::bpf::Object;
use xtask::process;
use xtask::workspace::PACKAGE;

/// Builds the BPF programs, measures, and prints the table.
///
/// # Errors
/// Where a reader takes more time or memory than docs/promises.md has.
pub fn run() -> anyhow::Result<()> {
    stage(&Object::build()?).map(drop)
}

/// A step of CI: a debug build is too slow for the limits, so that the tests of all look only at how the work grows.
///
/// # Errors
/// As [`run`].
pub fn stage(object: &Object) -> anyhow::Result<String> {
    let mut command = process::cargo();
    command.args(["test", "--release", "--package", PACKAGE, "--test", "budget"]);
    object.embed(&mut command);
    process::run(command.args(["--", "--nocapture"]))?;
    Ok("every reader of foreign bytes keeps to its budget".to_owned())
}
