//! Turns of phrase that belong to no reader's English.

use std::path::{Path, PathBuf};

use anyhow::Context;
use xtask::workspace;

use super::{Document, markdown};

/// Banned in README, docs and all sources, names of tests included.
const BANNED: [&str; 10] = [
    "is said",
    "told",
    "in words",
    "somebody",
    "not to be had",
    "all the same",
    "for ever",
    "mend",
    "of ours",
    "is no use",
];

/// Banned in README and docs as well, and between the quotation marks of [`SPEAKING`]: a program is no person.
const PERSONAL: [&str; 4] = ["we", "us", "our", "ours"];

/// Packages whose texts people read.
const SPEAKING: [&str; 8] =
    ["agent-user", "api-client", "callback-url", "exporter", "fleet", "names", "settings", "text"];

/// Folders with nothing that was written here, and this list itself.
const SKIPPED: [&str; 8] = [
    ".git",
    "target",
    "dist",
    "fuzz/corpus",
    "fuzz/artifacts",
    "fib/captures",
    "fuzz/target",
    "xtask/src/prose",
];

const EXTENSIONS: [&str; 12] =
    ["rs", "md", "yml", "json", "toml", "sh", "py", "service", "timer", "txt", "bash", "run"];

/// Every banned turn, with its place.
pub fn check(documents: &[Document]) -> anyhow::Result<Vec<String>> {
    let mut findings = Vec::new();
    for one in documents {
        for block in markdown::blocks(&one.text) {
            let text = Flat::new(&block.text);
            let found = PERSONAL.iter().filter(|turn| text.has(turn).next().is_some());
            findings.extend(found.map(|turn| format!("{}:{}: {turn:?}", one.path, block.line)));
        }
    }
    let root = workspace::root();
    for file in sources(&root)? {
        let path = file.strip_prefix(&root)?.display().to_string();
        let text = std::fs::read(&file).with_context(|| path.clone())?;
        let text = String::from_utf8_lossy(&text);
        let flat = Flat::new(&text);
        let found = BANNED.iter().flat_map(|turn| flat.has(turn).map(move |line| (line, turn)));
        findings.extend(found.map(|(line, turn)| format!("{path}:{line}: {turn:?}")));
        if is_speaking(&path) {
            findings.extend(personal(&text).map(|(line, turn)| format!("{path}:{line}: {turn:?}")));
        }
    }
    Ok(findings)
}

fn is_speaking(path: &str) -> bool {
    let is_test = path.ends_with("tests.rs") || path.contains("/tests/");
    !is_test && SPEAKING.iter().any(|package| path.starts_with(&format!("{package}/src/")))
}

/// What a program says of itself as of people: between quotation marks, in code that is no test.
fn personal(text: &str) -> impl Iterator<Item = (usize, &'static str)> {
    let lines = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).enumerate();
    lines.filter(|(_, line)| !line.trim_start().starts_with("//")).flat_map(|(at, line)| {
        let quoted: Vec<&str> = line.split('"').skip(1).step_by(2).collect();
        let flat = Flat::new(&quoted.join(" . "));
        PERSONAL
            .into_iter()
            .filter(move |turn| flat.has(turn).next().is_some())
            .map(move |turn| (at + 1, turn))
    })
}

/// The files that people wrote.
fn sources(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            let skipped = SKIPPED.iter().any(|skipped| path == root.join(skipped));
            if path.is_symlink() || skipped {
                continue;
            } else if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_none_or(|end| EXTENSIONS.iter().any(|one| end == *one)) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A text in small letters as one line: without the marks of comments, `_` as a blank.
struct Flat {
    text: String,
    /// Where each line begins in it.
    lines: Vec<usize>,
}

impl Flat {
    fn new(text: &str) -> Self {
        let (mut flat, mut lines) = (String::from(" "), Vec::new());
        for line in text.lines() {
            lines.push(flat.len());
            let line = line.trim().trim_end_matches('\\').trim_start_matches(['/', '!', '#', '>', '|']);
            for word in line.to_lowercase().split(|c: char| c.is_whitespace() || c == '_') {
                if !word.is_empty() {
                    flat.push_str(word);
                    flat.push(' ');
                }
            }
        }
        Self { text: flat, lines }
    }

    /// The lines on which a turn begins.
    fn has<'a>(&'a self, turn: &'a str) -> impl Iterator<Item = usize> + 'a {
        let bytes = self.text.as_bytes();
        let is_edge = |at: Option<&u8>| at.is_none_or(|byte| !byte.is_ascii_alphanumeric());
        // `for word in words` is a loop.
        let is_loop = |at: usize| {
            let before = self.text.get(..at).unwrap_or_default();
            turn.starts_with("in ")
                && before.split(' ').rev().skip(1).take(3).any(|word| word.ends_with("for"))
        };
        let found = self.text.match_indices(turn).filter(move |(at, _)| {
            !is_loop(*at)
                && is_edge(at.checked_sub(1).and_then(|at| bytes.get(at)))
                && is_edge(bytes.get(at + turn.len()))
        });
        found.map(|(at, _)| self.lines.partition_point(|start| *start <= at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_found_across_lines_and_in_names_and_not_inside_of_words() {
        let text = "// This is\n// said.\nfn somebody_is() {}\nlet recommend = \"it is \\\n  no use\";\n";
        let flat = Flat::new(text);
        assert_eq!(flat.has("is said").collect::<Vec<_>>(), [1]);
        assert_eq!(flat.has("somebody").collect::<Vec<_>>(), [3]);
        assert_eq!(flat.has("is no use").collect::<Vec<_>>(), [4]);
        assert_eq!(flat.has("mend").count(), 0);
    }

    #[test]
    fn a_program_is_no_person_in_its_texts() {
        let text = "// we\nlet us = \"reaches us\";\n#[cfg(test)]\nlet x = \"our\";\n";
        assert_eq!(personal(text).collect::<Vec<_>>(), [(2, "us")]);
        assert!(is_speaking("fleet/src/cli.rs") && !is_speaking("lab/src/soak.rs"));
    }

    #[test]
    fn sources_are_read_and_builds_are_not() {
        let root = workspace::root();
        let found = sources(&root).unwrap();
        assert!(found.contains(&root.join("ramdisk/initramfs/ipa-sidecar")), "a script without an extension");
        assert!(!found.iter().any(|file| file.starts_with(root.join("target"))));
    }
}
