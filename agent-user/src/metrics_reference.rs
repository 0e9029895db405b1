//! `docs/metrics.md`: the reference of the metrics, written from their declarations.

use std::fmt::Write;

use callback_url::{Reason, Warning};
use fib::{ChangeKind, Subject};
use prometheus::proto::MetricType;

use crate::advertise::{Family, Origin, Refusal};
use crate::exchange::SeenBy;
use crate::ironic::{HeartbeatResult, LookupResult};
use crate::metrics::{Description, Metrics, RestartResult, Sender, Trigger, UrlAction, UrlSource};
use crate::params::Mode;
use crate::passed_by::Why;
use crate::probes::{self, Probe, Target, outcome};
use crate::report::ReportResult;

const INTRODUCTION: &str = "\
# Metrics

What `GET /metrics` returns, in the text format 0.0.4. `cargo xtask docs` writes this file from the declarations in
`agent-user/src/metrics.rs`; a test fails where the two differ.

No label holds a MAC, a UUID, a URL or free text. All labels are closed sets, except for the advertised address in one
series. There are at most 300 samples, buckets included. Counters with few label values begin at 0; one with many
(`bad_agent_url_reasons_total`, `connect_failures_total`) appears with its first event. A histogram has the samples
`_bucket`, `_sum` and `_count`.

The metrics of `ipa-fleet` are in [fleet.md](fleet.md).

";

/// The values that a label can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Values {
    /// These and no other.
    Closed(Vec<&'static str>),
    /// Any, for this reason, and in one series only.
    Open(&'static str),
}

/// The whole file.
///
/// # Errors
/// Where the metrics cannot be made.
pub fn markdown() -> Result<String, prometheus::Error> {
    let metrics = Metrics::new()?;
    let mut families: Vec<_> = metrics.described().iter().collect();
    families.sort_by_key(|family| full_name(family));
    let mut text = INTRODUCTION.to_owned();
    text.push_str("| Name | Type | Unit | Labels | Meaning |\n|---|---|---|---|---|\n");
    let mut sets = String::new();
    for family in families {
        let Description { name, kind, labels, help } = family;
        let (full, kind, unit) = (full_name(family), kind_name(*kind), unit(name));
        let quoted: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| `{full}` | {kind} | {unit} | {} | {help} |", quoted.join(", "));
        for label in labels {
            let values = match values(name, label) {
                Values::Closed(values) => {
                    let quoted = values.iter().map(|value| match *value {
                        "" => "empty".to_owned(),
                        value => format!("`{value}`"),
                    });
                    quoted.collect::<Vec<_>>().join(", ")
                }
                Values::Open(what) => what.to_owned(),
            };
            let _ = writeln!(sets, "| `{full}` | `{label}` | {values} |");
        }
    }
    let _ = write!(text, "\n## Values of labels\n\n| Name | Label | Values |\n|---|---|---|\n{sets}");
    Ok(text)
}

fn full_name(family: &Description) -> String {
    let prefix = if family.name.starts_with("process_") { "" } else { "ipa_sidecar_" };
    format!("{prefix}{}", family.name)
}

fn kind_name(kind: MetricType) -> &'static str {
    match kind {
        MetricType::COUNTER => "counter",
        MetricType::GAUGE => "gauge",
        MetricType::HISTOGRAM => "histogram",
        MetricType::SUMMARY => "summary",
        MetricType::UNTYPED => "untyped",
    }
}

/// From the end of the name, where Prometheus wants the unit.
fn unit(name: &str) -> &'static str {
    let ends = |end: &str| name.ends_with(end);
    match () {
        () if ends("_timestamp_seconds") || ends("_start_time_seconds") => "Unix time",
        () if ends("_seconds") || ends("_seconds_total") => "seconds",
        () if ends("_bytes") => "bytes",
        () if name == "passed_by_info" => "0 or 1", // An alert compares it: it is there from the start.
        () if ends("_info") => "1",
        () if ends("_total") || name.starts_with("process_") => "count",
        () => "0 or 1",
    }
}

/// The values that a label of a family (named without the prefix) can have.
pub fn values(family: &str, label: &str) -> Values {
    fn all(names: &[&'static str]) -> Values {
        Values::Closed(names.to_vec())
    }
    match (family, label) {
        ("build_info", _) => Values::Open("of the build"),
        ("advertise_address_info", "address") => Values::Open("the address, or the operator's name"),
        ("advertise_address_info", "device") => Values::Open("the name of the device"),
        ("advertise_address_info", "family") => Values::Closed(vec!["", "inet", "inet6"]),
        ("connect_failures_total", "family") => all(&Family::NAMES),
        (_, "warning") => all(&Warning::NAMES),
        (_, "origin") => all(&Origin::NAMES),
        (_, "mode") => all(&Mode::NAMES),
        (_, "seen_by") => all(&SeenBy::NAMES),
        (_, "sender") => all(&Sender::NAMES),
        (_, "why") => all(&Why::NAMES),
        (_, "trigger") => all(&Trigger::NAMES),
        (_, "source") => all(&UrlSource::NAMES),
        (_, "action") => all(&UrlAction::NAMES),
        (_, "type") => all(&ChangeKind::NAMES),
        (_, "probe") => all(&Probe::NAMES),
        (_, "query") => all(&Subject::NAMES),
        (_, "target") => all(&Target::NAMES),
        (_, "errno") => Values::Closed(outcome::labels().collect()),
        ("lookup_attempts_total", "result") => all(&LookupResult::NAMES),
        ("heartbeats_total", "result") => all(&HeartbeatResult::NAMES),
        ("reports_sent_total", "result") => all(&ReportResult::NAMES),
        ("ipa_restarts_total", "result") => all(&RestartResult::NAMES),
        (_, "result") => Values::Closed(vec!["ok", "error"]),
        ("advertise_refusals_total", "reason") => all(&Refusal::NAMES),
        ("bad_agent_url_reasons_total", "reason") => all(&Reason::NAMES),
        ("probe_path_info", "path") => all(&probes::Path::NAMES),
        ("probe_unavailable_info", "reason") => all(&probes::Reason::NAMES),
        _ => Values::Closed(Vec::new()),
    }
}
