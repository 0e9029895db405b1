//! `cargo xtask fuzz`: every fuzz target for some seconds each.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail};
use xtask::prerequisites::{self, Purpose};
use xtask::{process, tool};

/// cargo-fuzz of a version that Rust 1.88 can build.
const VERSION: &str = "0.13.1";
/// Seconds for each target in CI.
const CI_SECONDS: u64 = 10;
/// The largest input that is tried, in bytes: the readers of foreign bytes take no more.
const LENGTH: usize = 1 << 20;
/// Seconds for one input: a hundred times of what it may take (docs/promises.md), as the fuzzer's build is slower.
const INPUT_SECONDS: u64 = 5;
/// The most memory of a whole fuzzer with its corpus, in MiB.
const MEMORY: u64 = 512;

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
    println!("{:14} {:>12} {:>10} {:>8} {:>8}", "target", "executions", "a second", "worst s", "MiB");
    for (target, outcome) in side_by_side(&targets, |target| fuzz(target, seconds, seed)) {
        let outcome = outcome?;
        total += outcome.executions;
        let rate = outcome.executions / seconds;
        let found = outcome.found.as_ref().map_or("", |_| "  FOUND SOMETHING");
        let Outcome { executions, slowest, memory, .. } = &outcome;
        println!("{target:14} {executions:12} {rate:10} {slowest:8} {memory:8}{found}");
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

/// Does this with each target, as many at once as there are processors; the results are in the targets' order.
fn side_by_side<R: Send>(targets: &[String], work: impl Fn(&str) -> R + Sync) -> Vec<(&String, R)> {
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(|| {
                while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = work(target);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((target, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(target, _)| *target);
    results
}

struct Outcome {
    executions: u64,
    /// What the slowest input took, in whole seconds.
    slowest: u64,
    /// The most memory, of all together, in MiB.
    memory: u64,
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
        .args(["-print_final_stats=1", "-len_control=10"])
        .args([format!("-timeout={INPUT_SECONDS}"), format!("-rss_limit_mb={MEMORY}")])
        .args(seed.map(|seed| format!("-seed={seed}")))
        .env("RUST_BACKTRACE", "0") // The message is what counts.
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("fuzz target {target}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let of = |name| statistic(&said, name).unwrap_or_default();
    let (executions, slowest, memory) =
        (of("number_of_executed_units"), of("slowest_unit_time_sec"), of("peak_rss_mb"));
    if output.status.success() && executions == 0 {
        bail!("{target} tried nothing:\n{said}");
    }
    Ok(Outcome {
        executions,
        slowest,
        memory,
        found: (!output.status.success()).then(|| process::last_lines(&said, 40)),
    })
}

/// `stat::NAME: N` (libFuzzer, `-print_final_stats=1`).
fn statistic(said: &str, name: &str) -> Option<u64> {
    let of =
        |line: &str| line.strip_prefix("stat::")?.strip_prefix(name)?.strip_prefix(':')?.trim().parse().ok();
    said.lines().find_map(of)
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
    fn the_numbers_are_read_from_what_libfuzzer_says() {
        let said = "INFO: Seed: 1\nstat::number_of_executed_units: 1234\nstat::peak_rss_mb:    40\n";
        assert_eq!(statistic(said, "number_of_executed_units"), Some(1234));
        assert_eq!(statistic(said, "peak_rss_mb"), Some(40));
        assert_eq!(statistic(said, "slowest_unit_time_sec"), None);
    }
}
