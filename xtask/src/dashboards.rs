//! The Prometheus files in dashboards/, checked and tested with promtool.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::process;

const DIRECTORY: &str = "dashboards";

/// Checks every YAML file there by what it is; the note counts them.
pub fn run() -> anyhow::Result<String> {
    let directory = Path::new(DIRECTORY);
    if !directory.is_dir() {
        return Ok(format!("nothing to check: no {DIRECTORY}/"));
    }
    let (mut rules, mut tests) = (0, 0);
    for file in yaml_files(directory)? {
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let words: &[&str] = match kind(&text) {
            Some(Kind::Rules) => {
                rules += 1;
                &["check", "rules"]
            }
            Some(Kind::Tests) => {
                tests += 1;
                &["test", "rules"]
            }
            Some(Kind::Configuration) => &["check", "config", "--syntax-only"],
            None => bail!("{}: neither rules, rule tests nor a configuration of Prometheus", file.display()),
        };
        process::run(Command::new("promtool").args(words).arg(&file))?;
    }
    if rules > 0 && tests == 0 {
        bail!("{DIRECTORY}/ has alert rules and no test of them");
    }
    Ok(format!("{rules} rule files, {tests} rule tests"))
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

/// All of them below a directory, in the order of their names.
fn yaml_files(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(yaml_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
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
