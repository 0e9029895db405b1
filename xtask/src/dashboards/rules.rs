//! The alert rules as text: what promtool does not check of them.

use anyhow::{Context, bail};

/// What every alert says.
const ANNOTATIONS: [&str; 3] = ["summary:", "description:", "runbook_url:"];
const SEVERITIES: [&str; 3] = ["critical", "warning", "info"];

/// One alert.
#[derive(Debug, PartialEq, Eq)]
pub struct Alert {
    /// Its name.
    pub name: String,
    /// `FILE#ANCHOR` of its runbook, FILE as seen from the root of the repository.
    pub runbook: String,
}

/// Every alert of a rule file, in its order.
///
/// # Errors
/// Where one has no severity, or an annotation is missing.
pub fn alerts(text: &str) -> anyhow::Result<Vec<Alert>> {
    let mut alerts = Vec::new();
    for rule in text.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap_or_default().trim().to_owned();
        let value = |key: &str| {
            rule.lines().find_map(|line| line.trim().strip_prefix(key)).map(|value| value.trim().to_owned())
        };
        for annotation in ANNOTATIONS {
            value(annotation).with_context(|| format!("alert {name} has no {annotation}"))?;
        }
        let severity = value("severity:").unwrap_or_default();
        if !SEVERITIES.contains(&severity.as_str()) {
            bail!("alert {name} has the severity {severity:?}, and not one of {}", SEVERITIES.join(", "));
        }
        alerts.push(Alert { runbook: value("runbook_url:").unwrap_or_default(), name });
    }
    Ok(alerts)
}

/// The alerts that the rule tests do not show to fire, or do not show to stay silent: such a test is no test.
pub fn untested<'a>(alerts: &'a [Alert], tests: &str) -> Vec<&'a str> {
    let cases: Vec<_> = tests.split("alertname: ").skip(1).collect();
    let shown = |name: &str, fires: bool| {
        cases.iter().any(|case| {
            let case = case.split("eval_time:").next().unwrap_or_default();
            let is_its_own = case.strip_prefix(name).is_some_and(|rest| rest.starts_with([',', '\n']));
            is_its_own && case.contains("exp_alerts: []") != fires && case.contains("exp_labels:") == fires
        })
    };
    let names = alerts.iter().map(|alert| alert.name.as_str());
    names.filter(|name| !shown(name, true) || !shown(name, false)).collect()
}

/// The anchors of a Markdown file's headings, made as GitHub makes them.
pub fn anchors(markdown: &str) -> Vec<String> {
    let headings = markdown.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "groups:\n  - name: x\n    rules:\n      - alert: One\n        for: 5m\n        labels:\n          \
        severity: info\n        annotations:\n          summary: a\n          description: b\n          \
        runbook_url: docs/x.md#one\n";

    #[test]
    fn alerts_are_read_and_what_they_lack_is_named() {
        let one = Alert { name: "One".to_owned(), runbook: "docs/x.md#one".to_owned() };
        assert_eq!(alerts(RULES).unwrap(), [one]);
        let error = alerts(&RULES.replace("summary: a", "sum: a")).unwrap_err().to_string();
        assert_eq!(error, "alert One has no summary:");
        let error = alerts(&RULES.replace("info", "loud")).unwrap_err().to_string();
        assert!(error.contains("\"loud\""), "{error}");
    }

    #[test]
    fn an_alert_needs_a_test_that_fires_and_one_that_does_not() {
        let alerts = alerts(RULES).unwrap();
        let fires = "- eval_time: 1m\n  alertname: One\n  exp_alerts:\n    - exp_labels: {a: b}\n";
        let silent = "- {eval_time: 1m, alertname: One, exp_alerts: []}\n";
        assert_eq!(untested(&alerts, fires), ["One"]);
        assert_eq!(untested(&alerts, silent), ["One"]);
        assert_eq!(untested(&alerts, &format!("{silent}{fires}")), [""; 0]);
        let other = fires.replace("One", "OneMore");
        assert_eq!(untested(&alerts, &format!("{silent}{other}")), ["One"]);
    }

    #[test]
    fn anchors_are_those_of_github() {
        assert_eq!(anchors("# Operations\ntext\n### A b, c\n"), ["operations", "a-b-c"]);
    }
}
