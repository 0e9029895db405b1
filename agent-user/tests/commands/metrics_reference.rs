//! `docs/metrics.md` says what the registry has. `cargo xtask docs` writes it anew.

use std::collections::BTreeSet;
use std::path::Path;

use ipa_sidecar::inside::{Metrics, Values, markdown, values};

#[test]
fn the_reference_is_what_is_declared() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let wanted = markdown().unwrap();
    if std::env::var_os("IPA_SIDECAR_WRITE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = found.lines().zip(wanted.lines()).find(|(found, wanted)| found != wanted);
    assert!(found == wanted, "docs/metrics.md is out of date (first: {differs:?}): run `cargo xtask docs`");
}

#[test]
fn every_label_has_its_values_and_every_sample_keeps_to_them() {
    let metrics = Metrics::new().unwrap();
    for family in metrics.described() {
        for label in &family.labels {
            let values = values(&family.name, label);
            assert_ne!(
                values,
                Values::Closed(Vec::new()),
                "{}: nobody knows the values of {label}",
                family.name
            );
        }
    }
    let text = String::from_utf8(metrics.render().unwrap().0).unwrap();
    let mut seen = 0;
    for sample in text.lines().filter_map(|line| line.strip_prefix("ipa_sidecar_")) {
        let Some((name, rest)) = sample.split_once('{') else { continue };
        let labels = rest.split_once("} ").unwrap().0;
        for (label, value) in labels.split("\",").filter_map(|pair| pair.split_once("=\"")) {
            let value = value.trim_end_matches('"');
            if label == "le" {
                continue;
            }
            seen += 1;
            if let Values::Closed(known) = values(name, label) {
                assert!(known.contains(&value), "{name}{{{label}={value:?}}} is not in {known:?}");
            }
        }
    }
    assert!(seen > 100, "{seen} labels");
}

#[test]
fn the_reference_names_what_a_daemon_served() {
    let reference = markdown().unwrap();
    let rows: BTreeSet<_> = reference
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|row| {
            let mut cells = row.split(" | ");
            let (name, kind, _, labels) = (cells.next()?, cells.next()?, cells.next()?, cells.next()?);
            let mut labels: Vec<_> = labels.split(", ").map(|label| label.trim_matches(['`', ' '])).collect();
            labels.sort_unstable();
            Some(format!("# TYPE {} {kind} {{{}}}", name.trim_end_matches('`'), labels.join(",")))
        })
        .collect();
    for line in include_str!("../fixtures/metrics.txt").lines() {
        assert!(rows.contains(line), "{line}");
    }
}
