//! The alert rules as the Prometheus operator takes them: `dashboards/alerts.yml` in a PrometheusRule.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::process;
use crate::workspace::target_directory;

/// Where what Kubernetes takes is, in the checkout.
pub const DIRECTORY: &str = "deploy/kubernetes";
const RULES: &str = "dashboards/alerts.yml";
const OBJECT: &str = "deploy/kubernetes/prometheusrule.yaml";
/// What stands before the rules.
const HEAD: &str = "\
# Written by `cargo xtask docs` out of dashboards/alerts.yml. A Prometheus takes it by its ruleSelector: add the labels that
# yours asks for.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: ipa-sidecar
  labels:
    app.kubernetes.io/name: ipa-sidecar
spec:
";

/// Writes the object anew.
///
/// # Errors
/// Where a file cannot be read or written.
pub fn write() -> anyhow::Result<()> {
    let rules = fs::read_to_string(RULES).context(RULES)?;
    fs::write(OBJECT, object(&rules)).context(OBJECT)
}

/// Checks that the object has the rules of today, and the rules in it with promtool.
///
/// # Errors
/// What is wrong.
pub fn check() -> anyhow::Result<()> {
    let written = fs::read_to_string(OBJECT).context(OBJECT)?;
    let rules = fs::read_to_string(RULES).context(RULES)?;
    ensure!(written == object(&rules), "{OBJECT} is not made of today's {RULES}: run cargo xtask docs");
    let inside = rules_of(&written).context(OBJECT)?;
    let file = target_directory().join("prometheusrule.yml");
    fs::create_dir_all(file.parent().unwrap_or(Path::new(".")))?;
    fs::write(&file, inside)?;
    process::run(Command::new("promtool").args(["check", "rules"]).arg(&file))
}

fn object(rules: &str) -> String {
    let mut text = HEAD.to_owned();
    for line in rules.lines() {
        if !line.is_empty() {
            text.push_str("  ");
            text.push_str(line);
        }
        text.push('\n');
    }
    text
}

/// The rules in an object, as Prometheus takes them. `None`: there are none.
fn rules_of(object: &str) -> Option<String> {
    let (_, inside) = object.split_once("\nspec:\n")?;
    let lines = inside.lines().map(|line| line.strip_prefix("  ").unwrap_or(line));
    Some(lines.flat_map(|line| [line, "\n"]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_come_out_as_they_went_in() {
        let rules = "# Why.\ngroups:\n  - name: a\n\n    rules: []\n";
        let object = object(rules);
        assert!(
            object.ends_with("spec:\n  # Why.\n  groups:\n    - name: a\n\n      rules: []\n"),
            "{object}"
        );
        assert_eq!(rules_of(&object).unwrap(), rules);
        assert_eq!(rules_of("kind: Service\n"), None);
    }
}
