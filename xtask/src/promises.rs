//! docs/promises.md and docs/faults.md keep to the truth: the tests that they name exist, each promise has one, every place
//! of `unsafe` stands in the inventory, and the number of dependencies is right.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::Path;

use anyhow::{Context, bail};
use xtask::workspace::{self, PACKAGE};
use xtask::{bpf, process};

use crate::references::{named, rows};

/// The numbers of the promises that are kept so far.
const PROMISES: RangeInclusive<usize> = 1..=24;

/// Checks them; gives a line on what was found.
///
/// # Errors
/// The first thing that is not so.
pub fn run() -> anyhow::Result<String> {
    let read = |path: &str| std::fs::read_to_string(path).with_context(|| path.to_owned());
    let (promises, faults) = (read("docs/promises.md")?, read("docs/faults.md")?);
    let numbered = rows(&promises).into_iter().filter_map(|row| {
        let number: usize = row.first()?.parse().ok()?;
        Some((number, row.join(" ")))
    });
    let numbered: Vec<_> = numbered.collect();
    let promised: Vec<usize> = PROMISES.collect();
    for ((number, text), expected) in numbered.iter().zip(&promised) {
        if number != expected {
            bail!("docs/promises.md: row {number} stands where {expected} should be");
        }
        if named(text).is_empty() {
            bail!("docs/promises.md: promise {number} names no test");
        }
    }
    if numbered.len() != promised.len() {
        bail!("docs/promises.md has {} promises, and {} were made", numbered.len(), promised.len());
    }
    let mut tests = [named(&promises), named(&faults)].concat();
    tests.sort();
    tests.dedup();
    for test in &tests {
        test.check().context("docs/promises.md or docs/faults.md")?;
    }
    let places = unsafe_places()?;
    for (file, count) in &places {
        let row = format!("| `{file}` | {count} |");
        if !promises.contains(&row) {
            bail!("docs/promises.md: the inventory of unsafe code has no row that begins with {row:?}");
        }
    }
    let crates = crates()?;
    let words = format!("{crates} crates of others");
    if !promises.contains(&words) {
        bail!("docs/promises.md: the daemon is built from {words} now: say so there, and why");
    }
    let listed = promises.lines().filter(|line| line.starts_with("| `") && line.contains(".rs` | "));
    if listed.count() != places.len() {
        bail!("docs/promises.md: the inventory of unsafe code lists a file that has none");
    }
    let (tests, files) = (tests.len(), places.len());
    let promises = promised.len();
    Ok(format!("{promises} promises, {tests} tests named, unsafe code in {files} files, {words}"))
}

/// How many crates that are not ours the daemon with its probes is built from, those that only build included.
fn crates() -> anyhow::Result<usize> {
    let mut command = process::cargo();
    command.args(["tree", "--package", PACKAGE, "--features", &bpf::feature()]);
    command.args(["--edges", "normal,build", "--prefix", "none", "--format", "{p}"]);
    let text = process::output(&mut command)?;
    // Name and version; what follows is a path, where it is ours, or `(proc-macro)`.
    let others = text.lines().filter(|line| !line.is_empty() && !line.contains("(/"));
    let names: BTreeSet<_> = others.map(|line| line.split(" (").next().unwrap_or_default()).collect();
    Ok(names.len())
}

/// The files of the workspace's packages that have `unsafe`, and on how many lines.
fn unsafe_places() -> anyhow::Result<Vec<(String, usize)>> {
    let mut found = Vec::new();
    for member in workspace::members()? {
        for file in workspace::files(&Path::new(&member).join("src"), &["rs"])? {
            let count = std::fs::read_to_string(&file)?.lines().filter(|line| is_unsafe(line)).count();
            if count > 0 {
                found.push((file.display().to_string(), count));
            }
        }
    }
    Ok(found)
}

/// A block, function, implementation or attribute; not the word in a comment or a text.
fn is_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "#[unsafe("]
        .iter()
        .any(|form| code.match_indices(form).any(|(at, _)| is_outside(code, at)))
}

/// Not between quotation marks.
fn is_outside(code: &str, at: usize) -> bool {
    code.get(..at).is_some_and(|before| before.matches('"').count().is_multiple_of(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_code_is_distinguished_from_the_word() {
        for line in ["    let x = unsafe { y() };", "#[unsafe(no_mangle)]", "pub unsafe fn x() {"] {
            assert!(is_unsafe(line), "{line}");
        }
        for line in ["// unsafe { }", "\"unsafe { }\"", "#![allow(unsafe_code)]", "style-src 'unsafe-inline'"]
        {
            assert!(!is_unsafe(line), "{line}");
        }
    }
}
