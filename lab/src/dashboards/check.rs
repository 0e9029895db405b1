//! What the boards and the alerts show, compared with what they should.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::SystemTime;

use anyhow::Context;
use serde_json::Value;
use xtask::dashboards::board::{Board, Target, substituted};

use super::node::Node;
use super::prometheus::{Prometheus, Series};
use super::scenario::{Place, SCENARIOS, Scenario};

/// The node board's panels that another scenario fills than the healthy agent's.
const FILLED_BY: [(&str, &str); 14] = [
    ("Ironic holds our URL", "stale-pin"),
    ("IPA answers", "healthy-guard"),
    // Often enough for a rate.
    ("Lookups", "token-refused"),
    ("Duration of lookups and heartbeats", "token-refused"),
    ("Bad callback URLs", "seed-url"),
    ("What was wrong with them", "seed-url"),
    ("Refused candidates", "no-route"),
    ("Failed connects", "api-down"),
    ("Time to failure", "api-down"),
    ("Messages of the kernel", "overrun"),
    ("Lost and undecodable messages", "overrun"),
    ("Time to a decision", "overrun"),
    ("Probes that are missing", "probes-missing"),
    ("Drop-in", "healthy-guard"),
];
const USUALLY_FILLED_BY: &str = "healthy-agent";
/// A young daemon has used less than a second.
const MAY_BE_ZERO: &str = "Processor time";
/// Annotations stand for what happens to this one.
const ANNOTATIONS_FILLED_BY: &str = "stale-pin";

/// An alert and the scenario in which it fired.
pub type Fired = BTreeSet<(String, String)>;

/// What was checked.
#[derive(Debug, Default)]
pub struct Tally {
    /// What is not as it should be.
    pub wrong: Vec<String>,
    /// The scenarios in which an alert is not as it should be.
    pub scenarios: BTreeSet<&'static str>,
    variables: usize,
    targets: usize,
    labels: usize,
    cells: usize,
    causes: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { variables, targets, labels, cells, causes, .. } = self;
        write!(
            f,
            "{variables} variables, {targets} queries and {labels} labels of legends and tables have data; \
             {cells} pairs of alert and scenario are as expected, and the cause of being passed by in {causes} scenarios"
        )
    }
}

/// Every variable and every query of a board: there is data in the scenario that should fill it, and its labels. `only`:
/// those with this variable.
///
/// # Errors
/// Where Prometheus does not answer or refuses a query.
pub fn board(
    board: &Board,
    prometheus: &Prometheus,
    since: SystemTime,
    only: Option<&str>,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    println!("\nboard {}", board.name);
    let mut values: BTreeMap<_, _> =
        [("__rate_interval", "15s"), ("__interval", "1s")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let is_wanted = |text: &str| only.is_none_or(|only| text.contains(only));
    for variable in board.variables()? {
        if !is_wanted(&format!("${}", variable.name)) {
            continue;
        }
        let found = prometheus.label_values(&substituted(&variable.series, &values)?, &variable.label)?;
        println!("  ${:49} {}", variable.name, found.join(" "));
        tally.variables += 1;
        if found.is_empty() {
            tally.wrong.push(format!("{}: variable {} has no value", board.name, variable.name));
        }
        values.insert(variable.name, found.join("|"));
    }
    let targets: Vec<_> =
        board.targets().into_iter().filter(|target| is_wanted(&target.expression)).collect();
    let mut answers = Vec::new();
    for target in &targets {
        if values.contains_key("instance") {
            values.insert("instance".to_owned(), filled_by(&target.panel).to_owned());
        }
        // A window that a run of a minute fills.
        let expression = substituted(&target.expression, &values)?.replace("[1m]", "[15s]");
        answers.push(prometheus.range(&expression, since)?);
    }
    for (target, series) in targets.iter().zip(&answers) {
        let beside = targets.iter().zip(&answers).filter(|(other, _)| other.panel == target.panel);
        let panel: Vec<_> = beside.flat_map(|(_, series)| series).collect();
        let problems = problems(target, series, &panel);
        let numbers: usize = series.iter().map(|series| series.values.len()).sum();
        let scenario = values.get("instance").map_or("all nodes", |_| filled_by(&target.panel));
        println!(
            "  {:44} {:3} {:3} series {:5} values  {:18} {}",
            target.panel,
            target.letter,
            series.len(),
            numbers,
            scenario,
            problems.join("; ")
        );
        tally.targets += 1;
        tally.labels += target.labels.len();
        let place = format!("{}: {} {} ({scenario})", board.name, target.panel, target.letter);
        tally.wrong.extend(problems.into_iter().map(|problem| format!("{place}: {problem}")));
    }
    Ok(())
}

fn filled_by(panel: &str) -> &'static str {
    if panel.starts_with("annotation ") {
        return ANNOTATIONS_FILLED_BY;
    }
    let mut known = FILLED_BY.iter();
    known.find_map(|(title, scenario)| (*title == panel).then_some(*scenario)).unwrap_or(USUALLY_FILLED_BY)
}

/// What is wrong with what a query gave; `panel` are the series of all queries of its panel.
fn problems(target: &Target, series: &[Series], panel: &[&Series]) -> Vec<String> {
    let mut problems = Vec::new();
    if series.iter().all(|series| series.values.is_empty()) {
        problems.push("no data".to_owned());
    } else if !target.is_table && target.panel != MAY_BE_ZERO && only_zeros(panel) {
        problems.push("the panel shows nothing but zeros".to_owned());
    }
    for label in &target.labels {
        let has = |series: &Series| series.labels.contains_key(label);
        // A table's columns may come from any of its queries; a legend is each series' own.
        let found =
            if target.is_table { panel.iter().any(|series| has(series)) } else { series.iter().all(has) };
        if !found {
            problems.push(format!("no label {label}"));
        }
    }
    problems
}

fn only_zeros(panel: &[&Series]) -> bool {
    panel.iter().all(|series| series.values.iter().all(|value| *value == 0.0))
}

/// Which alerts have fired where since then.
///
/// # Errors
/// Where Prometheus does not answer.
pub fn fired(prometheus: &Prometheus, since: SystemTime) -> anyhow::Result<Fired> {
    let firing = prometheus.range("ALERTS{alertstate=\"firing\"}", since)?;
    let pair = |series: &Series| (series.label("alertname").to_owned(), series.label("instance").to_owned());
    Ok(firing.iter().map(pair).collect())
}

/// The alerts that a scenario expects and that have not fired.
pub fn missing(scenario: &Scenario, fired: &Fired) -> Vec<String> {
    let fires = |alert: &str| fired.contains(&(alert.to_owned(), scenario.name.to_owned()));
    scenario.alerts.iter().filter(|alert| !fires(alert)).map(|alert| (*alert).to_owned()).collect()
}

/// Prints the table of alerts and scenarios, and notes where it is not as expected.
pub fn table(alerts: &[&str], fired: &Fired, tally: &mut Tally) {
    println!(
        "\nalerts by scenario: F fires and should, . does not and should not, ! fires and should not, - does not and should"
    );
    for (number, scenario) in (1..).zip(&SCENARIOS) {
        println!("  {number:2} {}", scenario.name);
    }
    let numbers: String = (1..=SCENARIOS.len()).map(|number| format!("{number:3}")).collect();
    println!("  {:36}{numbers}", "");
    for alert in alerts {
        let mut row = String::new();
        for scenario in &SCENARIOS {
            let does = fired.contains(&((*alert).to_owned(), scenario.name.to_owned()));
            let should = scenario.alerts.contains(alert) || scenario.after_restart.contains(alert);
            let cell = match (does, should) {
                (true, true) => "F",
                (false, false) => ".",
                (true, false) => "!",
                (false, true) => "-",
            };
            row.push_str(&format!("{cell:>3}"));
            tally.cells += 1;
            if does != should {
                let words = if does { "fires" } else { "does not fire" };
                tally.wrong.push(format!("{alert} {words} in {}", scenario.name));
                tally.scenarios.insert(scenario.name);
            }
        }
        println!("  {alert:36}{row}");
    }
}

/// Whether each node names why IPA passes it by, and no other cause: in the alert, in `/state` and in `/-/ready`.
///
/// # Errors
/// Where Prometheus does not answer.
pub fn passed_by(
    nodes: &[(Place, Node)],
    prometheus: &Prometheus,
    since: SystemTime,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let firing = prometheus.range("ALERTS{alertstate=\"firing\",why!=\"\"}", since)?;
    println!("\npassed by: the cause in the alert, and what /-/ready says");
    for (Place { scenario, .. }, node) in nodes {
        let ours = firing.iter().filter(|series| series.label("instance") == scenario.name);
        let whys: BTreeSet<_> = ours.map(|series| series.label("why")).collect();
        tally.causes += 1;
        if whys != scenario.passed_by.into_iter().collect() {
            tally
                .wrong
                .push(format!("{}: passed by {whys:?}, and not {:?}", scenario.name, scenario.passed_by));
            tally.scenarios.insert(scenario.name);
        }
        let Some(why) = scenario.passed_by else { continue };
        let daemon = node.daemon.as_ref().context("no daemon")?;
        let (ready, state) = (daemon.get("/-/ready")?, daemon.state()?);
        let text = ready.text();
        let of = |pointer| state.pointer(pointer).and_then(Value::as_str);
        println!("  {:22} {why:13} {} {}", scenario.name, ready.status, text.trim());
        let is_so = ready.status == 503
            && of("/passed_by/why").is_some_and(|found| found == why)
            && of("/passed_by/sentence").is_some_and(|sentence| text.trim().ends_with(sentence));
        if !is_so {
            tally.wrong.push(format!("{}: /-/ready does not name the cause {why}", scenario.name));
            tally.scenarios.insert(scenario.name);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn series(labels: serde_json::Value, values: &[f64]) -> Series {
        Series { labels: labels.as_object().cloned().unwrap_or_default(), values: values.to_vec() }
    }

    fn target(is_table: bool) -> Target {
        Target {
            panel: "p".to_owned(),
            letter: "A".to_owned(),
            expression: String::new(),
            labels: ["a".to_owned()].into(),
            is_table,
        }
    }

    #[test]
    fn empty_zero_and_unlabelled_answers_are_found() {
        let good = series(json!({"a": "x"}), &[0.0, 1.0]);
        let zero = series(json!({"a": "x"}), &[0.0]);
        let bare = series(json!({}), &[1.0]);
        let of = |is_table, series: Vec<Series>| {
            let panel: Vec<_> = series.iter().collect();
            problems(&target(is_table), &series, &panel).join("; ")
        };
        assert_eq!(of(false, vec![good]), "");
        assert_eq!(of(true, vec![]), "no data; no label a");
        assert_eq!(of(false, vec![zero]), "the panel shows nothing but zeros");
        let zero = series(json!({"a": "x"}), &[0.0]);
        assert_eq!(of(true, vec![zero]), "", "the rows of a table are its labels");
        let good = || series(json!({"a": "x"}), &[1.0]);
        assert_eq!(of(false, vec![good(), bare]), "no label a");
        assert_eq!(of(true, vec![good(), series(json!({}), &[1.0])]), "");
    }

    #[test]
    fn panels_that_are_named_here_are_on_the_board() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards/node.json");
        let panels: BTreeSet<_> =
            Board::read(&path).unwrap().targets().into_iter().map(|target| target.panel).collect();
        for (panel, scenario) in FILLED_BY {
            assert!(panels.contains(panel), "{panel}");
            assert!(SCENARIOS.iter().any(|known| known.name == scenario), "{scenario}");
        }
    }
}
