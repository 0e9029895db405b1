//! `cargo xtask faults`: runs the tests of the fault matrix in docs/faults.md and prints it with what was seen.

use std::collections::BTreeMap;

use anyhow::{Context, bail};

use xtask::bpf::Object;
use xtask::prerequisites::{self, Purpose};
use xtask::process;
use xtask::workspace::PACKAGE;

use crate::references::{Reference, named, rows};

/// One line of the matrix.
struct Fault {
    area: String,
    fault: String,
    expected: String,
    tests: Vec<Reference>,
}

/// Runs them all, and prints the matrix.
///
/// # Errors
/// [`xtask::Missing`] without root; where a test is missing or fails.
pub fn run() -> anyhow::Result<()> {
    prerequisites::ensure_root("faults")?;
    prerequisites::ensure(Purpose::Test)?;
    let matrix = matrix()?;
    let object = Object::build()?;
    let mut by_program: BTreeMap<&str, Vec<&Reference>> = BTreeMap::new();
    for test in matrix.iter().flat_map(|fault| &fault.tests) {
        by_program.entry(&test.program).or_default().push(test);
    }
    let mut outcomes = Outcomes::default();
    for (program, mut tests) in by_program {
        tests.sort();
        tests.dedup();
        let Some(first) = tests.first() else { continue };
        let (package, words) = first.target();
        let mut command = process::cargo();
        command.args(["test", "--package", &package]).args(words);
        // Only the daemon has the feature; cargo refuses it for the libraries.
        if package == PACKAGE {
            object.embed(&mut command);
        }
        command.args(["--", "--exact", "--show-output"]);
        command.args(tests.iter().map(|test| test.test.as_str()));
        command.env("CI", "true"); // A test that does not run shows nothing.
        outcomes.begin(program);
        // Which of them failed stands in the matrix.
        if let Err(error) = process::run_seen(&mut command, |line| outcomes.line(line)) {
            println!("{error:#}");
        }
    }
    print(&matrix, &outcomes)
}

/// Reads docs/faults.md.
///
/// # Errors
/// Where a row names no test.
fn matrix() -> anyhow::Result<Vec<Fault>> {
    let document = std::fs::read_to_string("docs/faults.md").context("docs/faults.md")?;
    let rows = rows(&document).into_iter().map(|cells| match cells.as_slice() {
        [area, fault, expected, tests] if !named(tests).is_empty() => Ok(Fault {
            area: area.clone(),
            fault: fault.clone(),
            expected: expected.clone(),
            tests: named(tests),
        }),
        _ => bail!("docs/faults.md: no area, fault, outcome and test in {cells:?}"),
    });
    rows.collect()
}

fn print(matrix: &[Fault], outcomes: &Outcomes) -> anyhow::Result<()> {
    let mut bad = 0;
    let mut area = "";
    println!("\nthe fault matrix: expected, and what was seen");
    for fault in matrix {
        if fault.area != area {
            println!("\n{}", fault.area);
            area = &fault.area;
        }
        let passed = fault.tests.iter().all(|test| outcomes.passed(test));
        bad += usize::from(!passed);
        println!("  {:6} {}: {}", if passed { "ok" } else { "FAILED" }, fault.fault, fault.expected);
        for test in &fault.tests {
            for seen in outcomes.seen(test) {
                println!("           seen: {seen}");
            }
            println!("           by {}::{}", test.program, test.test);
        }
    }
    println!("\n{} faults, {bad} with another outcome than expected", matrix.len());
    if bad > 0 {
        bail!("{bad} faults have another outcome than expected");
    }
    Ok(())
}

/// What test programs have said, as libtest writes it with `--show-output`.
#[derive(Default)]
struct Outcomes {
    program: String,
    section: Option<String>,
    passed: Vec<Reference>,
    seen: Vec<(Reference, String)>,
}

impl Outcomes {
    fn begin(&mut self, program: &str) {
        program.clone_into(&mut self.program);
        self.section = None;
    }

    fn line(&mut self, line: &str) {
        let reference = |test: &str| Reference { program: self.program.clone(), test: test.to_owned() };
        if let Some(test) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... ok")) {
            self.passed.push(reference(test));
        } else if let Some(test) =
            line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----"))
        {
            self.section = Some(test.to_owned());
        } else if let (Some(test), Some(words)) = (&self.section, line.strip_prefix("seen: ")) {
            self.seen.push((reference(test), words.to_owned()));
        }
    }

    fn passed(&self, test: &Reference) -> bool {
        self.passed.contains(test)
    }

    fn seen<'a>(&'a self, test: &Reference) -> impl Iterator<Item = &'a str> {
        self.seen.iter().filter(move |(one, _)| one == test).map(|(_, words)| words.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_read_from_libtest() {
        let mut outcomes = Outcomes::default();
        outcomes.begin("faults");
        for line in [
            "test dns::servfail ... ok",
            "test disk::full ... FAILED",
            "successes:",
            "---- dns::servfail stdout ----",
            "seen: name_unresolved",
            "other words",
        ] {
            outcomes.line(line);
        }
        let reference = |text| Reference::parse(text).unwrap();
        assert!(outcomes.passed(&reference("faults::dns::servfail")));
        assert!(!outcomes.passed(&reference("faults::disk::full")));
        assert!(!outcomes.passed(&reference("other::dns::servfail")));
        let seen: Vec<_> = outcomes.seen(&reference("faults::dns::servfail")).collect();
        assert_eq!(seen, ["name_unresolved"]);
    }
}
