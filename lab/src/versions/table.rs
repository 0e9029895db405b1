//! The table, for a terminal and for docs/compatibility.md.

use std::collections::BTreeMap;
use std::fs;

use anyhow::Context;
use xtask::workspace;

use super::pair::{Found, Pair};

/// Where it goes.
const FILE: &str = "docs/compatibility.md";
const INTRODUCTION: &str = "\
# Compatibility

Real ironic-python-agents and real Ironics from PyPI, run with the daemon beside. `cargo lab versions --write` writes this
file; `--pair IPA IRONIC` runs one pair. The API is http, `require_tls` is off, the node is in fast track.

*URL*: what Ironic recorded is what the daemon decided. *Seen by*: what saw the exchanges of ironic-python-agent. *Read
back*: what the daemon's own lookup showed. *Call*: a request to the agent as the conductor makes it, with the certificate
that came with the heartbeat where the URL is https.

| ironic-python-agent | Ironic | mode | URL | seen by | read back | call |
|---|---|---|---|---|---|---|
";

/// One line.
pub fn line(pair: &Pair, mode: &str, found: &anyhow::Result<Found>) -> String {
    let Pair { ipa, ironic } = pair;
    let cells = match found {
        Ok(found) => found.cells().join(" | "),
        Err(error) => {
            let words = format!("{error:#}").replace(['|', '\n'], " ");
            let words: String = words.chars().take(200).collect();
            format!("not run: {words} | - | - | -")
        }
    };
    format!("| {ipa} | {ironic} | {mode} | {cells} |")
}

/// Puts these lines into the file; those of other pairs stay.
///
/// # Errors
/// Where it cannot be written.
pub fn write(lines: Vec<String>) -> anyhow::Result<()> {
    let path = workspace::root().join(FILE);
    let before = fs::read_to_string(&path).unwrap_or_default();
    fs::write(&path, merged(&before, lines)).with_context(|| path.display().to_string())
}

fn merged(before: &str, lines: Vec<String>) -> String {
    // By the numbers of the versions, the newest first.
    let key = |line: &str| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let numbers = |place: usize| -> Vec<i64> {
            let version = cells.get(place).copied().unwrap_or_default();
            version.split('.').filter_map(|part| part.parse().ok()).map(|part: i64| -part).collect()
        };
        (numbers(1), numbers(2), cells.get(3).copied().unwrap_or_default().to_owned())
    };
    let known = before
        .lines()
        .filter(|line| line.starts_with("| ") && line.as_bytes().get(2).is_some_and(u8::is_ascii_digit));
    let mut rows: BTreeMap<_, String> = known.map(|line| (key(line), line.to_owned())).collect();
    rows.extend(lines.into_iter().map(|line| (key(&line), line)));
    let rows: Vec<_> = rows.into_values().collect();
    format!("{INTRODUCTION}{}\n", rows.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_other_pairs_stay_and_the_newest_come_first() {
        let line = |ipa: &str, word: &str| format!("| {ipa} | 39.0.0 | guard | {word} | - | - | - |");
        let first = merged("", vec![line("9.7.1", "old"), line("13.0.0", "x")]);
        let second = merged(&first, vec![line("9.7.1", "new"), line("10.0.0", "y")]);
        let rows: Vec<_> = second.lines().skip(INTRODUCTION.lines().count()).collect();
        assert_eq!(rows, [line("13.0.0", "x"), line("10.0.0", "y"), line("9.7.1", "new")]);
        assert!(second.starts_with(INTRODUCTION));
    }
}
