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

";
const HEAD: &str = "\
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
        let mode = cell(line, 3).to_owned();
        (numbers(cell(line, 1)), numbers(cell(line, 2)), mode)
    };
    let known = before
        .lines()
        .filter(|line| line.starts_with("| ") && line.as_bytes().get(2).is_some_and(u8::is_ascii_digit));
    let mut rows: BTreeMap<_, String> = known.map(|line| (key(line), line.to_owned())).collect();
    rows.extend(lines.into_iter().map(|line| (key(&line), line)));
    let rows: Vec<_> = rows.into_values().collect();
    format!("{INTRODUCTION}{}\n{HEAD}{}\n", pairs(&rows), rows.join("\n"))
}

/// Which pairs there are, a line for each Ironic.
fn pairs(rows: &[String]) -> String {
    let mut agents: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for row in rows {
        let of_ironic = agents.entry((numbers(cell(row, 2)), cell(row, 2))).or_default();
        if !of_ironic.contains(&cell(row, 1)) {
            of_ironic.push(cell(row, 1));
        }
    }
    let all = testbed::ipa::versions();
    let line = |(ironic, agents): (&str, Vec<&str>)| {
        let which = match all.iter().all(|version| agents.contains(version)) {
            true => format!("every ironic-python-agent of the {} that are tested", all.len()),
            false => format!("ironic-python-agent {}", agents.join(", ")),
        };
        format!("- Ironic {ironic} with {which}\n")
    };
    agents.into_iter().map(|((_, ironic), agents)| line((ironic, agents))).collect()
}

fn cell(line: &str, place: usize) -> &str {
    line.split('|').nth(place).unwrap_or_default().trim()
}

/// What sorts the newest version first.
fn numbers(version: &str) -> Vec<i64> {
    version.split('.').filter_map(|part| part.parse().ok()).map(|part: i64| -part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_other_pairs_stay_and_the_newest_come_first() {
        let line = |ipa: &str, word: &str| format!("| {ipa} | 39.0.0 | guard | {word} | - | - | - |");
        let first = merged("", vec![line("9.7.1", "old"), line("13.0.0", "x")]);
        let second = merged(&first, vec![line("9.7.1", "new"), line("10.0.0", "y")]);
        let (head, rows) = second.split_once(HEAD).unwrap();
        let rows: Vec<_> = rows.lines().collect();
        assert_eq!(rows, [line("13.0.0", "x"), line("10.0.0", "y"), line("9.7.1", "new")]);
        assert!(head.starts_with(INTRODUCTION));
        assert!(
            head.ends_with("- Ironic 39.0.0 with ironic-python-agent 13.0.0, 10.0.0, 9.7.1\n\n"),
            "{head}"
        );
    }

    #[test]
    fn a_whole_column_is_named_as_such() {
        let line = |ipa: &&str| format!("| {ipa} | 21.4.4 | guard | x | - | - | - |");
        let text = merged("", testbed::ipa::versions().iter().map(line).collect());
        assert!(text.contains("- Ironic 21.4.4 with every ironic-python-agent of the"), "{text}");
    }
}
