//! The files in dashboards/, checked without any data.

pub mod board;
pub mod kubernetes;
pub mod rules;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::{process, workspace};
use board::Board;

/// Where they are, in the checkout.
pub const DIRECTORY: &str = "dashboards";
/// The programs for them.
pub const TOOLS: &str = "dashboards/tools";

/// Checks rules, rule tests, configurations and the rules for Kubernetes with promtool, the boards against Grafana's model, and that every alert
/// has its tests and its runbook; the note counts them.
///
/// # Errors
/// What is wrong first.
pub fn run() -> anyhow::Result<String> {
    let directory = Path::new(DIRECTORY);
    let (mut rules, mut tests) = (String::new(), String::new());
    for file in files(directory, &["yml", "yaml"])? {
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let words: &[&str] = match kind(&text) {
            Some(Kind::Rules) => {
                rules.push_str(&text);
                &["check", "rules"]
            }
            Some(Kind::Tests) => {
                tests.push_str(&text);
                &["test", "rules"]
            }
            Some(Kind::Configuration) => &["check", "config"],
            None => bail!("{}: neither rules, rule tests nor a configuration of Prometheus", file.display()),
        };
        process::run(Command::new("promtool").args(words).arg(&file))?;
    }
    kubernetes::check()?;
    let alerts = rules::alerts(&rules)?;
    let untested = rules::untested(&alerts, &tests);
    if !untested.is_empty() {
        bail!("no test that fires, or none that stays silent: {}", untested.join(", "));
    }
    for alert in &alerts {
        has_runbook(alert)?;
    }
    let boards = files(directory, &["json"])?;
    for file in &boards {
        Board::read(file)?.check()?;
    }
    // Loads each board into Grafana's own typed model and writes it back: what is lost, Grafana does not know.
    let python = testbed::grafana::python(&mut |line| println!("{line}"))?;
    process::run(Command::new(python).arg(Path::new(TOOLS).join("typed.py")).args(&boards))?;
    Ok(format!(
        "{} alerts with tests and runbooks, {} boards as Grafana knows them",
        alerts.len(),
        boards.len()
    ))
}

/// The heading that an alert's runbook is under exists.
fn has_runbook(alert: &rules::Alert) -> anyhow::Result<()> {
    let (file, anchor) = alert.runbook.split_once('#').with_context(|| alert.runbook.clone())?;
    let text = std::fs::read_to_string(file).with_context(|| file.to_owned())?;
    if rules::anchors(&text).iter().any(|known| known == anchor) {
        return Ok(());
    }
    bail!("alert {}: {file} has no heading for #{anchor}", alert.name)
}

#[derive(Debug, PartialEq)]
enum Kind {
    Rules,
    Tests,
    Configuration,
}

/// What a file is, by its keys at the top level.
fn kind(text: &str) -> Option<Kind> {
    let has =
        |key: &str| text.lines().any(|line| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')));
    match () {
        () if has("tests") => Some(Kind::Tests),
        () if has("scrape_configs") => Some(Kind::Configuration),
        () if has("groups") => Some(Kind::Rules),
        () => None,
    }
}

/// The files of these kinds, without those of the programs.
fn files(directory: &Path, extensions: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = workspace::files(directory, extensions)?;
    found.retain(|file| !file.starts_with(TOOLS));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_keys() {
        assert_eq!(kind("# x\ngroups:\n  - name: a\n"), Some(Kind::Rules));
        assert_eq!(kind("rule_files: [a.yml]\ntests:\n  - interval: 1m\n"), Some(Kind::Tests));
        assert_eq!(kind("global: {}\nrule_files: [a]\nscrape_configs: []\n"), Some(Kind::Configuration));
        assert_eq!(kind("  groups:\n"), None);
        assert_eq!(kind("groups_of_things:\n"), None);
    }
}
