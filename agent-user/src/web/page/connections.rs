//! What the kernel saw: call-backs, failed connects, and what is missing to see them.

use std::fmt;

use crate::probes::Target;
use crate::view::View;

use exporter::{Row, Sheet, ago, heading, paragraph, subheading, table, times, took, warning};

/// Call-backs and failed connects.
pub(super) fn connections(sheet: &mut Sheet, view: &View) -> fmt::Result {
    let probes = &view.probes;
    let callback = &probes.callback;
    heading(sheet, "Connections")?;
    match callback.last_connection.zip(callback.last_connection_peer) {
        Some((at, peer)) => paragraph(
            sheet,
            format!(
                "Other machines reached the advertised port {}, last {peer} {}.",
                times(callback.connections),
                ago(at.elapsed())
            ),
        )?,
        None => paragraph(sheet, "No other machine has reached the advertised port yet.")?,
    }
    if let Some((at, peer)) = callback.last_refused.zip(callback.last_refused_peer) {
        let (often, when) = (times(callback.refused), ago(at.elapsed()));
        let what = "It refused a connection from another machine, because nothing listened";
        warning(sheet, format!("{what}: {often}, last {peer} {when}."))?;
    }
    if probes.connect_failures.last().is_none() {
        return Ok(());
    }
    subheading(sheet, "Connects from here that failed")?;
    let failures = probes.connect_failures.iter().rev();
    let failures = failures.map(|failure| {
        let ironic = failure.target == Target::Ironic;
        Row {
            bad: ironic,
            cells: [
                ago(failure.at.elapsed()),
                format!("{}{}", failure.peer, if ironic { " (Ironic)" } else { "" }),
                format!("{} after {}", failure.errno, took(failure.duration)),
                format!("{:?} (pid {}, user {})", failure.comm, failure.pid, failure.uid),
            ],
        }
    });
    table(sheet, ["When", "To", "Error", "Process"], failures)
}

/// Which probes there are, and what the lack of one costs.
pub(super) fn probes(sheet: &mut Sheet, view: &View) -> fmt::Result {
    let probes = &view.probes;
    heading(sheet, "eBPF probes")?;
    let rows = probes.report.probes.iter().map(|(probe, outcome)| Row {
        bad: false,
        cells: match outcome {
            Ok(path) => [probe.as_str().to_owned(), format!("attached ({})", path.as_str()), "-".to_owned()],
            Err(why) => [probe.as_str().to_owned(), format!("missing: {why}"), probe.cost().to_owned()],
        },
    });
    table(sheet, ["Probe", "State", "What that costs"], rows)?;
    for note in &probes.report.notes {
        paragraph(sheet, note)?;
    }
    if probes.events_lost > 0 {
        warning(sheet, format!("{} events were lost because too many came at once.", probes.events_lost))?;
    }
    if probes.runs_skipped > 0 {
        let cause = "because they came in an interrupt of another one";
        paragraph(
            sheet,
            format!("{} runs of a probe were skipped by the kernel, {cause}.", probes.runs_skipped),
        )?;
    }
    Ok(())
}
