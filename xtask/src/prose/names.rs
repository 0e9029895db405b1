//! What README and docs name exists in the programs: flags, variables, commands, metrics and exit codes.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context;
use xtask::workspace::{self, FLEET_FOLDER, FOLDER};

use super::{Document, markdown};

/// Flags of other programs that docs name.
const FOREIGN: [&str; 15] = [
    "advertise-host",
    "config-dir",
    "domain",
    "mount",
    "name",
    "network",
    "nocapture",
    "now",
    "password-prompt",
    "privileged",
    "release",
    "root",
    "system",
    "user",
    "user-domain",
];

/// Variables of the build and of tests: not made from the table of parameters.
const PREFIXES: [&str; 2] = ["IPA_SIDECAR_", "IPA_FLEET_"];

/// What the programs have.
struct Known {
    /// Without dashes.
    flags: BTreeSet<String>,
    variables: BTreeSet<String>,
    /// `PROGRAM COMMAND`.
    commands: BTreeSet<String>,
    metrics: BTreeSet<String>,
    exit_codes: BTreeSet<u8>,
}

/// Every name that no program has.
pub fn check(documents: &[Document]) -> anyhow::Result<Vec<String>> {
    let known = Known::read(&workspace::root())?;
    let mut findings: Vec<_> = documents.iter().flat_map(|one| known.check(one)).collect();
    let texts = || documents.iter().flat_map(|one| flags(&one.text));
    let stale = FOREIGN.iter().filter(|flag| !texts().any(|(_, found)| found == **flag));
    findings.extend(
        stale.map(|flag| format!("--{flag} is in the list of other programs' flags and in no document")),
    );
    Ok(findings)
}

impl Known {
    fn read(root: &Path) -> anyhow::Result<Self> {
        let mut known = Self {
            flags: FOREIGN.iter().map(|flag| (*flag).to_owned()).collect(),
            variables: BTreeSet::new(),
            commands: BTreeSet::new(),
            metrics: BTreeSet::new(),
            exit_codes: [0, 1].into(),
        };
        known.flags.extend(["help", "version"].map(str::to_owned)); // Of clap.
        for (folder, program) in [
            (FOLDER, "ipa-sidecar"),
            (FLEET_FOLDER, "ipa-fleet"),
            ("lab", "cargo lab"),
            ("xtask", "cargo xtask"),
        ] {
            for file in workspace::files(&root.join(folder).join("src"), &["rs"])? {
                let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
                known.read_source(program, &file, &text);
            }
        }
        let rows: Vec<_> =
            known.flags.iter().map(|flag| flag.to_ascii_uppercase().replace(['.', '-'], "_")).collect();
        known.variables.extend(rows.iter().flat_map(|row| PREFIXES.map(|prefix| format!("{prefix}{row}"))));
        for folder in [FOLDER, FLEET_FOLDER] {
            let list = std::fs::read_to_string(root.join(folder).join("tests/fixtures/metrics.txt"))?;
            known.metrics.extend(words(&list, "_").filter(|word| word.contains('_')).map(str::to_owned));
        }
        let rules = std::fs::read_to_string(root.join("dashboards/alerts.yml"))?;
        known.metrics.extend(
            rules.lines().filter_map(|line| line.trim().strip_prefix("- record: ")).map(str::to_owned),
        );
        Ok(known)
    }

    /// Rows of the tables of parameters, flags and commands of clap, built and derived, and constants of exit codes.
    fn read_source(&mut self, program: &str, file: &Path, text: &str) {
        let mut derived = "";
        for line in text.lines().map(str::trim) {
            let quoted = |before: &str| line.split(before).nth(1).and_then(|rest| rest.split('"').next());
            let flag = quoted("name: \"").or_else(|| quoted(".long(\"")).or_else(|| quoted("long = \""));
            let constant = quoted("CONFIG_FILE: &str = \"");
            self.flags.extend(flag.or(constant).map(str::to_owned));
            self.commands.extend(quoted("Command::new(\"").map(|name| format!("{program} {name}")));
            self.variables.extend(line.split('"').skip(1).step_by(2).map(str::to_owned));
            if file.ends_with("cli.rs") || file.parent().is_some_and(|folder| folder.ends_with("commands")) {
                let code = quoted(": u8 = ").and_then(|rest| rest.trim_end_matches(';').parse::<u8>().ok());
                self.exit_codes.extend(code);
            }
            let item =
                line.trim_start_matches("pub ").split([':', '(', ',', ' ', '{']).next().unwrap_or_default();
            match (derived, line) {
                ("command", "}") => derived = "",
                (_, line) if line.starts_with("enum Command") || line.starts_with("pub enum Command") => {
                    derived = "command"
                }
                ("command", _) if item.starts_with(|c: char| c.is_ascii_uppercase()) => {
                    self.commands.insert(format!("{program} {}", kebab(item)));
                }
                _ => {}
            }
            if program.starts_with("cargo")
                && line.contains(": ")
                && item.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            {
                // A field of a derived command is a flag; the other fields do no harm in this set.
                self.flags.insert(item.replace('_', "-"));
            }
        }
    }

    fn check(&self, one: &Document) -> Vec<String> {
        let mut found: Vec<(usize, String)> = Vec::new();
        let flags = flags(&one.text).into_iter().filter(|(_, flag)| !self.flags.contains(*flag));
        found.extend(flags.map(|(line, flag)| (line, format!("no program has the flag --{flag}"))));
        for (line, code) in markdown::code(&one.text) {
            let begun = code.trim().trim_start_matches("$ ");
            for word in words(code, "_:") {
                let wrong = match PREFIXES.iter().any(|prefix| word.starts_with(prefix)) {
                    true => !self.variables.contains(word) && !word.ends_with('_'),
                    false => self.is_wrong_metric(word),
                };
                found.extend(wrong.then(|| (line, format!("no program has {word}"))));
            }
            for program in ["ipa-sidecar", "ipa-fleet", "cargo lab", "cargo xtask"] {
                let rest = begun.strip_prefix(program).and_then(|rest| rest.strip_prefix(' '));
                let command = rest.and_then(|rest| rest.split(' ').next());
                let named = command.map(|command| format!("{program} {command}"));
                let is_name =
                    |name: &String| name.bytes().all(|b| b.is_ascii_lowercase() || b"- ".contains(&b));
                let unknown = named
                    .filter(|name| is_name(name) && !name.contains(" -") && !self.commands.contains(name));
                found.extend(unknown.map(|name| (line, format!("there is no `{name}`"))));
            }
        }
        let codes = exit_codes(&one.text).into_iter().filter(|(_, code)| !self.exit_codes.contains(code));
        found.extend(codes.map(|(line, code)| (line, format!("no program ends with {code}"))));
        found.into_iter().map(|(line, what)| format!("{}:{line}: {what}", one.path)).collect()
    }

    /// A name of the programs' series, or the short name of one that counts, which no program has.
    fn is_wrong_metric(&self, word: &str) -> bool {
        let ends = ["_bucket", "_sum", "_count"];
        let plain = ends.iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
        let is_whole =
            (word.starts_with("ipa_sidecar_") || word.starts_with("ipa_fleet_")) && !word.contains("::");
        let is_rule = word.starts_with("ipa_sidecar:") && !word.contains("::");
        match is_whole || is_rule {
            true => !word.ends_with('_') && ![plain, word].iter().any(|name| self.metrics.contains(*name)),
            false => {
                let ending = format!("_{word}");
                word.ends_with("_total")
                    && !self.metrics.iter().any(|name| name == word || name.ends_with(&ending))
            }
        }
    }
}

/// `LikeThis` as clap calls a command: `like-this`.
fn kebab(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// The words of a text: letters, digits and these.
fn words<'a>(text: &'a str, also: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(move |c: char| !c.is_ascii_alphanumeric() && !also.contains(c))
        .map(|word| word.trim_matches(':'))
        .filter(|word| !word.is_empty())
}

/// The flags in the code of a document, without their dashes.
fn flags(text: &str) -> Vec<(usize, &str)> {
    let (mut found, is_part) =
        (Vec::new(), |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c));
    for (line, code) in markdown::code(text) {
        for word in code.split(|c: char| c.is_whitespace() || "'\"(|[".contains(c)) {
            if let Some(flag) =
                word.strip_prefix("--").filter(|flag| flag.starts_with(|c: char| c.is_ascii_lowercase()))
            {
                let end = flag.find(|c: char| !is_part(c)).unwrap_or(flag.len());
                let name = flag.get(..end).unwrap_or(flag);
                // `--sidecar.*` is several.
                let several = flag.get(end..).is_some_and(|rest| rest.starts_with('*'));
                found.extend((!several).then(|| (line, name.trim_end_matches(['.', '-']))));
            }
        }
    }
    found
}

/// The exit codes that a document names: after "exit", "status" or "ends with", and in tables with such a column.
fn exit_codes(text: &str) -> Vec<(usize, u8)> {
    const BEFORE: [&str; 5] = ["exit", "exit code", "exit status", "exits with", "ends with"];
    let (mut found, mut column) = (Vec::new(), false);
    for (at, line) in text.lines().enumerate() {
        let is_row = line.starts_with('|');
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        column &= is_row;
        let lowered = line.to_lowercase();
        if is_row && cells.last().is_some_and(|head| head.to_lowercase().trim().starts_with("exit")) {
            column = true;
        } else if column {
            let codes = cells.last().into_iter().flat_map(|cell| words(cell, ""));
            found.extend(codes.filter_map(|word| Some((at + 1, word.parse().ok()?))));
        }
        for before in BEFORE.map(|before| format!("{before} ")) {
            let codes = lowered.split(&before).skip(1).filter_map(|rest| words(rest, "").next());
            found.extend(codes.filter_map(|code| Some((at + 1, code.parse().ok()?))));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Vec<String> {
        let known = Known::read(&workspace::root()).unwrap();
        known.check(&Document { path: "x".into(), text: text.into() })
    }

    #[test]
    fn what_exists_is_fine() {
        let text = "`ipa-sidecar run --mode=guard --web.listen-address=:1` `IPA_SIDECAR_MODE=guard` `cargo lab bench`\n\
                    `ipa_sidecar_lookup_duration_seconds_bucket` `reports_sent_total` exit code 64\n\
                    | command | exit code |\n|---|---|\n| `params` | 0 fine, 65 not |\n";
        assert_eq!(check(text), [""; 0]);
    }

    #[test]
    fn what_does_not_exist_is_found() {
        let wrong = [
            "`--ironic.urls`",
            "`IPA_SIDECAR_IRONIC_URLS=x`",
            "`ipa-sidecar judge`",
            "`cargo lab nothing`",
            "`ipa_fleet_nodes_total`",
            "`nothing_total`",
            "It ends with 66.",
            "| command | exit code |\n|---|---|\n| x | 3 |",
        ];
        for text in wrong {
            assert_eq!(check(text).len(), 1, "{text}: {:?}", check(text));
        }
    }
}
