//! The times that a bench program of the daemon's package takes: the library is built for release there, as this is not.

use std::collections::BTreeMap;
use std::process::Stdio;

use anyhow::{Context, bail};

use super::Bench;
use super::samples::Samples;
use xtask::bpf::Object;
use xtask::process;
use xtask::workspace::PACKAGE;

/// Microseconds by name, in the order of the rounds.
pub struct Times(BTreeMap<String, Vec<f64>>);

impl Times {
    /// Of one name.
    ///
    /// # Errors
    /// Where it was not measured.
    pub fn of(&self, name: &str) -> anyhow::Result<&[f64]> {
        Ok(self.0.get(name).with_context(|| format!("no times of {name}"))?)
    }

    /// The same, sorted.
    ///
    /// # Errors
    /// As [`Times::of`].
    pub fn samples(&self, name: &str) -> anyhow::Result<Samples> {
        Ok(self.of(name)?.iter().copied().collect())
    }
}

/// Builds the bench program and lets it measure.
///
/// # Errors
/// Where it cannot be built, or fails.
pub fn measure(bench: &Bench, what: &str, rounds: usize) -> anyhow::Result<Times> {
    let mut command = process::cargo();
    command.args(["bench", "--quiet", "--package", PACKAGE, "--bench", "kernel"]);
    Object::build()?.embed(&mut command);
    command.args(["--", what, &bench.rounds(rounds).to_string()]);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("the bench program ended with {}", output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find(|line| line.starts_with('{')).context("it printed no times")?;
    Ok(Times(serde_json::from_str(line)?))
}
