//! `cargo xtask test`: every test of the workspace, or those of a name, with what they need.

use std::path::Path;

use anyhow::bail;
use testbed::ipa::RealIpa;
use testbed::ironic::RealIronic;
use testbed::keystone::{self, RealKeystone};

use xtask::bpf::Object;
use xtask::prerequisites::{self, Purpose};
use xtask::process;
use xtask::workspace::{FLEET_FOLDER, FOLDER};

use crate::lab;
use crate::stages::Stages;

/// So many tests that failed may run once more: on a busy machine a wait can be too short. More is no accident.
const ONCE_MORE: usize = 3;

/// Installs what the tests need, then runs those whose name contains the filter.
pub fn run(filter: Option<&str>) -> anyhow::Result<()> {
    let mut stages = Stages::default();
    if stages.run("prerequisites", || prerequisites::ensure(Purpose::Test))
        && let Some(object) = bpf_stage(&mut stages)
    {
        let installed = install(&mut stages);
        run_stages(&mut stages, &object, installed, filter);
    }
    stages.finish()
}

/// Builds the BPF programs.
pub fn bpf_stage(stages: &mut Stages) -> Option<Object> {
    let mut built = None;
    stages.run("bpf", || {
        let object = Object::build()?;
        let note = object.describe()?;
        built = Some(object);
        Ok(note)
    });
    built
}

/// Installs what stands for the cloud: Ironic, Keystone and ironic-python-agent. Whether all of it is there.
pub fn install(stages: &mut Stages) -> bool {
    let ironic = stages.run("ironic", || {
        let versions = [testbed::ironic::VERSION, testbed::ironic::OLDER_IN_CI];
        for version in versions {
            RealIronic::install(version, &mut |line| println!("{line}"))?;
        }
        Ok(format!("versions {}", versions.join(" and ")))
    });
    let keystone = stages.run("keystone", || {
        RealKeystone::install(&mut |line| println!("{line}"))?;
        Ok(format!("version {}", keystone::VERSION))
    });
    let agent = stages.run("ironic-python-agent", || {
        let versions = [testbed::ipa::VERSION, testbed::ipa::ONE_URL_VERSION];
        for version in versions {
            RealIpa::install(version, &mut |line| println!("{line}"))?;
        }
        Ok(format!("versions {}", versions.join(" and ")))
    });
    ironic && keystone && agent
}

/// Builds and runs the tests; where nothing is missing and no filter is given, also what else CI runs of the lab.
pub fn run_stages(stages: &mut Stages, object: &Object, installed: bool, filter: Option<&str>) {
    let built = stages.run("build tests", || {
        let mut command = process::cargo();
        command.args(["test", "--workspace", "--no-run"]);
        object.embed(&mut command);
        process::run(&mut command)?;
        Ok(String::new())
    });
    if installed && built {
        stages.run("tests", || tests(object, filter));
    }
    // Not named by a filter: `cargo lab ramdisk` and so on run them alone.
    if filter.is_none() && testbed::is_root() {
        stages.run("ramdisk", || lab::stage("ramdisk"));
        stages.run("versus", || lab::stage("versus --fixed"));
        stages.run("versions", || lab::stage("versions --fixed"));
    }
}

fn tests(object: &Object, filter: Option<&str>) -> anyhow::Result<String> {
    let (programs, others) = matching_programs(filter)?;
    let mut runs = Vec::new();
    let mut by_name = vec!["--workspace", "--no-fail-fast"];
    if !programs.is_empty() {
        runs.push([vec!["--workspace", "--no-fail-fast"], flags("--test", &programs)].concat());
        by_name.extend([vec!["--lib", "--bins"], flags("--test", &others)].concat());
    }
    by_name.extend(filter);
    runs.push(by_name);

    // Most tests wait for a daemon most of the time.
    let threads = 2 * std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut totals = Totals::default();
    let mut result = Ok(());
    for words in runs {
        // All go on after a failure, so that one run reports everything.
        result = result.and(cargo_test(object, &words, threads, &mut totals));
    }
    println!("\nall tests together: {totals}");
    let note = match (result, totals.names.as_slice()) {
        (Ok(()), _) => String::new(),
        (Err(_), names) if totals.are_whole() && (1..=ONCE_MORE).contains(&names.len()) => {
            once_more(object, names)?
        }
        (Err(error), _) => return Err(error),
    };
    if totals.passed == 0 {
        bail!("no test ran; is the filter {:?} right?", filter.unwrap_or_default());
    }
    let left = if testbed::is_root() { "" } else { ", those that need root were left" };
    Ok(format!("{totals}{left}{note}"))
}

fn cargo_test(object: &Object, words: &[&str], threads: usize, totals: &mut Totals) -> anyhow::Result<()> {
    let mut command = process::cargo();
    command.arg("test");
    object.embed(&mut command);
    command.args(words).env("RUST_TEST_THREADS", threads.to_string());
    if testbed::is_root() {
        command.env("CI", "true"); // What tests need is there: one that is left is a failure.
    }
    process::run_seen(&mut command, |line| totals.add(line))
}

/// Runs these tests again, one at a time. One that passes now is named, and fails nothing.
fn once_more(object: &Object, names: &[String]) -> anyhow::Result<String> {
    println!("\nonce more, one at a time: {}", names.join(", "));
    let mut totals = Totals::default();
    let exact = ["--workspace", "--no-fail-fast", "--lib", "--bins", "--tests", "--", "--exact"];
    let words: Vec<_> = exact.into_iter().chain(names.iter().map(String::as_str)).collect();
    cargo_test(object, &words, 1, &mut totals)?;
    if totals.passed < names.len() as u64 {
        bail!("of {}, only {} ran a second time", names.join(", "), totals.passed);
    }
    Ok(format!("; only the second time passed: {}", names.join(", ")))
}

/// The test programs whose name contains the filter, which run whole, and the others.
fn matching_programs(filter: Option<&str>) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    let mut names = Vec::new();
    for folder in [FOLDER, FLEET_FOLDER] {
        for entry in std::fs::read_dir(Path::new(folder).join("tests"))? {
            let path = entry?.path();
            if path.join("main.rs").exists() {
                names.extend(path.file_name().and_then(|name| name.to_str()).map(str::to_owned));
            }
        }
    }
    names.sort();
    let matches = |name: &String| filter.is_some_and(|word| name.contains(word));
    Ok(names.into_iter().partition(matches))
}

fn flags<'a>(flag: &'a str, values: &'a [String]) -> Vec<&'a str> {
    values.iter().flat_map(|value| [flag, value]).collect()
}

/// The sums over the `test result:` lines of all test programs.
#[derive(Debug, Default, PartialEq)]
struct Totals {
    passed: u64,
    failed: u64,
    ignored: u64,
    /// Those that failed.
    names: Vec<String>,
    /// Test programs that began; `ended` came to their end.
    begun: u64,
    ended: u64,
}

impl Totals {
    fn add(&mut self, line: &str) {
        if let Some((name, "FAILED")) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ")) {
            self.names.push(name.to_owned());
        }
        self.begun += u64::from(line.starts_with("running "));
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        self.ended += 1;
        for count in counts.split("; ") {
            match count.split_once(' ').map(|(number, what)| (number.parse::<u64>(), what)) {
                Some((Ok(number), "passed")) => self.passed += number,
                Some((Ok(number), "failed")) => self.failed += number,
                Some((Ok(number), "ignored")) => self.ignored += number,
                _ => {}
            }
        }
    }
}

impl Totals {
    /// No program broke off: each has named all that failed in it.
    fn are_whole(&self) -> bool {
        self.begun == self.ended
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed, {} ignored", self.passed, self.failed, self.ignored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_summed() {
        let mut totals = Totals::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.10s",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s",
            "test result: nonsense",
            "test limits::no_core_is_dumped ... ok",
            "test probes::guest ... FAILED",
        ] {
            totals.add(line);
        }
        let names = vec!["probes::guest".to_owned()];
        assert_eq!(totals, Totals { passed: 4, failed: 2, ignored: 1, names, begun: 1, ended: 2 });
        assert!(!totals.are_whole());
        totals.add("running 2 tests");
        assert!(totals.are_whole());
    }
}
