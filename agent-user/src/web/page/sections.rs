//! The decision, ironic-python-agent, Ironic and the guard.

use std::fmt;

use callback_url::Reason;
use exporter::{Row, Sheet, ago, heading, list, paragraph, subheading, table, times, warning};

use crate::advertise::CandidateTrace;
use crate::ipa::keeper::DropinPhase;
use crate::ipa::place::Reads;
use crate::ironic::{HeartbeatResult, LookupResult};
use crate::metrics::Sender;
use crate::params::Mode;
use crate::view::View;

/// What is asked first.
pub(super) fn facts(sheet: &mut Sheet, view: &View) -> fmt::Result {
    let decision = &view.published.decision;
    let url = |url: Option<String>, none: &str| url.unwrap_or_else(|| none.to_owned());
    let heartbeat = match view.exchanges.heartbeats.last() {
        Some(last) => format!("{}, {}", last.result.as_str(), ago(last.at.elapsed())),
        None => "none seen".to_owned(),
    };
    let callback = &view.probes.callback;
    let called = match callback.last_connection.zip(callback.last_connection_peer) {
        Some((at, peer)) => {
            format!("{}, last {} from {peer}", times(callback.connections), ago(at.elapsed()))
        }
        None => "not yet".to_owned(),
    };
    let mut mode = view.acting().as_str().to_owned();
    if let Some(why) = view.duty.held_back.as_ref().or(view.agent.beside.as_ref()) {
        mode = format!("{mode} (wanted: {}: {why})", view.duty.wanted.as_str());
    }
    exporter::facts(
        sheet,
        &[
            ("Callback URL", url(decision.callback_url.clone(), "none")),
            ("Ironic holds", url(view.held.shown(), "nothing, as far as known")),
            ("Last heartbeat", heartbeat),
            ("Called back", called),
            ("Mode", mode),
        ],
    )
}

/// Every candidate for the address.
pub(super) fn decision(sheet: &mut Sheet, view: &View) -> fmt::Result {
    heading(sheet, "Which address, and why")?;
    let decision = &view.published.decision;
    if decision.trace.is_empty() {
        paragraph(sheet, "There is no API URL to look for a route to.")?;
    }
    for target in &decision.trace {
        subheading(sheet, format_args!("API {}", target.url))?;
        if let Some(failure) = &target.failure {
            warning(sheet, failure)?;
        }
        table(sheet, ["To", "From", "Device", "Table", "Usable"], target.resolved.iter().map(candidate))?;
    }
    Ok(())
}

fn candidate(trace: &CandidateTrace) -> Row<5> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let mut verdict = if trace.accepted { "yes" } else { "no" }.to_owned();
    if let Some(detail) = &trace.detail {
        verdict = format!("{verdict}: {detail}");
    }
    if let Some(reason) = trace.reason {
        verdict = format!("{verdict} [{reason}]");
    }
    Row {
        bad: !trace.accepted,
        cells: [
            trace.ip.to_string(),
            or_dash(trace.source.map(|ip| ip.to_string())),
            or_dash(trace.device.clone()),
            or_dash(trace.table_name()),
            verdict,
        ],
    }
}

/// The agent on this machine.
pub(super) fn agent(sheet: &mut Sheet, view: &View) -> fmt::Result {
    heading(sheet, "ironic-python-agent")?;
    let ipa = &view.ipa;
    match (&ipa.version, ipa.up) {
        (Some(version), _) => paragraph(sheet, format!("It answers on this machine; version {version}."))?,
        (None, true) => paragraph(sheet, "It answers on this machine.")?,
        (None, false) => paragraph(sheet, "It does not answer on this machine.")?,
    }
    if let Some(passed_by) = &view.passed_by {
        warning(sheet, &passed_by.sentence)?;
    }
    let (dropin, place) = (&view.dropin, &view.place);
    match (dropin.state, place.reads_it) {
        (DropinPhase::Off, _) => {}
        (_, Reads::No) => warning(sheet, format!("{}.", place.shown()))?,
        (_, Reads::Yes | Reads::Unknown) => paragraph(sheet, format!("{}.", place.shown()))?,
    }
    match (dropin.state, &dropin.address) {
        (DropinPhase::Off, _) => Ok(()),
        (DropinPhase::Written, Some(address)) => {
            let address = address.bare();
            paragraph(sheet, format!("Its configuration drop-in makes it advertise {address}."))
        }
        (DropinPhase::Failed, _) => {
            let error = dropin.error.as_deref().unwrap_or_default();
            warning(sheet, format!("Its configuration drop-in: {error}"))
        }
        _ => paragraph(sheet, "Its configuration drop-in is not written."),
    }
}

/// What was asked of Ironic, and what it holds.
pub(super) fn ironic(sheet: &mut Sheet, view: &View) -> fmt::Result {
    heading(sheet, "Ironic")?;
    if let Some(stale) = &view.held.stale {
        warning(sheet, stale)?;
    }
    if view.acting() == Mode::Agent {
        paragraph(sheet, format!("The daemon itself speaks to Ironic: {}.", view.agent.phase.words()))?;
        if let Some(uuid) = &view.agent.node_uuid {
            paragraph(sheet, format!("This is node {uuid}."))?;
        }
        if let Some(failure) = &view.agent.last_failure {
            warning(sheet, failure)?;
        }
    }
    sight(sheet, view)?;
    read_back(sheet, view)?;
    let seen = &view.exchanges;
    if seen.lookups.is_empty() {
        paragraph(sheet, "No lookup seen.")?;
    } else {
        subheading(sheet, "Lookups")?;
        let lookups = seen.lookups.iter().map(|((sender, result), count)| Row {
            bad: !matches!(result, LookupResult::Ok | LookupResult::MaskedToken),
            cells: [whose(*sender).to_owned(), result.as_str().to_owned(), count.to_string()],
        });
        table(sheet, ["By", "Result", "How many"], lookups)?;
    }
    if seen.heartbeats.last().is_none() {
        return paragraph(sheet, "No heartbeat seen.");
    }
    subheading(sheet, "Heartbeats")?;
    let beats = seen.heartbeats.iter().rev();
    let beats = beats.map(|beat| Row {
        bad: beat.result != HeartbeatResult::Accepted,
        cells: [ago(beat.at.elapsed()), beat.result.as_str().to_owned(), beat.callback_url.clone()],
    });
    table(sheet, ["When", "Result", "Callback URL"], beats)
}

/// Whether IPA's exchanges are seen where the guard does not pass them on.
fn sight(sheet: &mut Sheet, view: &View) -> fmt::Result {
    let sight = &view.sight;
    if view.acting() == Mode::Agent {
        return Ok(());
    }
    for (scheme, source) in [("http", &sight.http), ("https", &sight.tls)] {
        match (source.attached, &source.detail) {
            (true, None) => paragraph(
                sheet,
                format!("The daemon sees what ironic-python-agent and Ironic exchange over {scheme}."),
            )?,
            (true, Some(detail)) => {
                paragraph(sheet, format!("Over {scheme} the daemon sees requests only: {detail}."))?
            }
            (false, Some(detail)) => {
                paragraph(sheet, format!("Over {scheme} the daemon sees nothing: {detail}."))?
            }
            (false, None) => {}
        }
    }
    if sight.lost + sight.given_up > 0 {
        let (lost, given_up) = (sight.lost, sight.given_up);
        paragraph(sheet, format!("{lost} pieces were lost, {given_up} exchanges were seen in part only."))?;
    }
    match &sight.refused {
        Some(refused) => warning(sheet, refused),
        None => Ok(()),
    }
}

/// What the daemon's own lookup has shown.
fn read_back(sheet: &mut Sheet, view: &View) -> fmt::Result {
    let shown = &view.read_back;
    if let (Some(uuid), Some(at)) = (&shown.node_uuid, shown.at) {
        let url = shown.agent_url.as_deref().unwrap_or("no callback URL");
        paragraph(sheet, format!("This is node {uuid}. Ironic held {url} {}.", ago(at.elapsed())))?;
    }
    if shown.token_handed_out {
        warning(
            sheet,
            "Ironic had wiped the agent token. The new one is in the drop-in of ironic-python-agent, which takes it at its next start.",
        )?;
    }
    match &shown.last_failure {
        Some(failure) => warning(sheet, format!("Read-back of what Ironic holds failed: {failure}")),
        None => Ok(()),
    }
}

/// What the guard did, and the bad URLs of whoever sent them.
pub(super) fn guard(sheet: &mut Sheet, view: &View) -> fmt::Result {
    let guard = &view.guard;
    if view.duty.mode == Mode::Guard {
        heading(sheet, "Guard")?;
        match guard.listening {
            Some(address) => paragraph(sheet, format!("It listens on {address}."))?,
            None => paragraph(sheet, "It does not listen yet.")?,
        }
        for words in [&guard.paused, &guard.refused, &guard.depends].into_iter().flatten() {
            warning(sheet, words)?;
        }
        let events = guard.events.iter().rev();
        let events = events.map(|event| Row::plain([ago(event.at.elapsed()), event.what.clone()]));
        table(sheet, ["When", "What it did"], events)?;
    }
    let bad_urls = &view.exchanges.bad_urls;
    if bad_urls.last().is_none() {
        return Ok(());
    }
    heading(sheet, "Bad callback URLs seen")?;
    let bad = bad_urls.iter().rev();
    let bad = bad.map(|event| Row {
        bad: true,
        cells: [ago(event.at.elapsed()), format!("\"{}\"", event.url), reasons(&event.reasons)],
    });
    table(sheet, ["When", "URL", "What is wrong"], bad)
}

/// What is wrong beside the duty: parameters that others gave, the pages themselves.
pub(super) fn problems(sheet: &mut Sheet, view: &View) -> fmt::Result {
    let problems: Vec<_> = view.problems().collect();
    if problems.is_empty() {
        return Ok(());
    }
    heading(sheet, "Problems")?;
    list(sheet, &problems)
}

/// Reasons for people, each with its metric label.
fn reasons(found: &[Reason]) -> String {
    let found = found.iter().map(|reason| format!("{} [{}]", reason.words(), reason.as_str()));
    found.collect::<Vec<_>>().join("; ")
}

fn whose(sender: Sender) -> &'static str {
    match sender {
        Sender::Ipa => "ironic-python-agent",
        Sender::Sidecar => "ipa-sidecar",
    }
}
