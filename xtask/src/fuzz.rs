//! `cargo xtask fuzz`: every fuzz target for some seconds each.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use xtask::prerequisites::{self, Purpose};
use xtask::{process, tool};

/// cargo-fuzz of a version that Rust 1.88 can build.
const VERSION: &str = "0.13.1";
/// Seconds for each target in CI.
const CI_SECONDS: u64 = 10;
/// The largest input that is tried, in bytes: larger ones find nothing more, only slower.
const LENGTH: usize = 4096;

/// The seed of libFuzzer's lots in CI: the same commit is tried with the same inputs at every run.
const CI_SEED: u32 = 1;

/// Runs them all, each time with other inputs; prints how many each has tried.
///
/// # Errors
/// [`xtask::Missing`] without a C++ compiler, which builds the loop around the targets; where an input broke a target.
pub fn run(seconds: u64) -> anyhow::Result<()> {
    prerequisites::ensure(Purpose::Fuzz)?;
    println!("{}", all(seconds, None)?);
    Ok(())
}

/// A step of CI, with the same inputs at every run; gives a line on what was done.
///
/// # Errors
/// As [`run`].
pub fn stage() -> anyhow::Result<String> {
    all(CI_SECONDS, Some(CI_SEED))
}

fn all(seconds: u64, seed: Option<u32>) -> anyhow::Result<String> {
    let fuzzer = tool::find("cargo-fuzz", VERSION, "about a minute")?;
    let targets = targets()?;
    // No sanitizer: it wants a nightly compiler, slows everything down, and looks for faults that only unsafe code has,
    // of which the parsers have none. Overflows and indexes are checked without one.
    let mut command = Command::new(fuzzer);
    command.args(["build", "--sanitizer", "none", "--debug-assertions"]).env("PATH", process::search_path());
    command.env_remove("CARGO_TARGET_DIR");
    process::run(&mut command)?;
    let (mut total, mut broken) = (0, Vec::new());
    println!("{:14} {:>12} {:>10}", "target", "executions", "a second");
    for target in &targets {
        let outcome = fuzz(target, seconds, seed)?;
        total += outcome.executions;
        let rate = outcome.executions / seconds;
        let found = outcome.found.as_ref().map_or("", |_| "  FOUND SOMETHING");
        println!("{target:14} {:12} {rate:10}{found}", outcome.executions);
        if let Some(said) = outcome.found {
            println!("{said}");
            broken.push(target.as_str());
        }
    }
    if broken.is_empty() {
        return Ok(format!("{} targets, {seconds} s each, {total} executions, nothing found", targets.len()));
    }
    bail!(
        "an input breaks {}: it is in fuzz/artifacts; correct the code, and add the input to fuzz/corpus",
        broken.join(", ")
    )
}

struct Outcome {
    executions: u64,
    /// What was written, where an input broke the target.
    found: Option<String>,
}

/// Runs one target. What it learns goes into the target directory, beside the corpus of the repository.
fn fuzz(target: &str, seconds: u64, seed: Option<u32>) -> anyhow::Result<Outcome> {
    let learned = Path::new("fuzz/target/corpus").join(target);
    let artifacts = Path::new("fuzz/artifacts").join(target);
    for directory in [&learned, &artifacts] {
        std::fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    }
    let output = Command::new(binary(target)?)
        .args([&learned, &Path::new("fuzz/corpus").join(target)])
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={LENGTH}"))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .args(["-print_final_stats=1", "-timeout=10", "-rss_limit_mb=1024"])
        .args(seed.map(|seed| format!("-seed={seed}")))
        .env("RUST_BACKTRACE", "0") // The message is what counts.
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("fuzz target {target}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let executions = executions(&said).unwrap_or_default();
    if output.status.success() && executions == 0 {
        bail!("{target} tried nothing:\n{said}");
    }
    Ok(Outcome { executions, found: (!output.status.success()).then(|| process::last_lines(&said, 40)) })
}

/// `stat::number_of_executed_units: N` (libFuzzer, `-print_final_stats=1`).
fn executions(said: &str) -> Option<u64> {
    said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:")?.trim().parse().ok())
}

/// The names, as the files are called.
fn targets() -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for file in std::fs::read_dir("fuzz/fuzz_targets").context("fuzz/fuzz_targets")? {
        let path = file?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// cargo-fuzz builds for a named target, so that is a part of the path.
fn binary(target: &str) -> anyhow::Result<PathBuf> {
    let directories = std::fs::read_dir("fuzz/target").context("fuzz/target")?;
    let binaries = directories.flatten().map(|entry| entry.path().join("release").join(target));
    let found = binaries.filter(|path| path.is_file()).max_by_key(|path| modified(path));
    found.with_context(|| format!("cargo-fuzz has built no {target}"))
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    std::fs::metadata(path).and_then(|found| found.modified()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_from_what_libfuzzer_says() {
        let said = "INFO: Seed: 1\nstat::number_of_executed_units: 1234\nstat::peak_rss_mb:    40\n";
        assert_eq!(executions(said), Some(1234));
        assert_eq!(executions("stat::peak_rss_mb: 40"), None);
    }
}
