//! The decision, ironic-python-agent, Ironic and the guard.

use std::fmt::{self, Write};

use super::super::View;
use super::html::{Escaped, Row, ago, paragraph, table, times, warning};
use crate::advertise::CandidateTrace;
use crate::agent_url::Reason;
use crate::params::Mode;
use crate::status::{AgentPhase, DropinStatus};

/// What is asked first.
pub(super) fn facts(html: &mut String, view: &View) -> fmt::Result {
    let (decision, snapshot) = (&view.published.decision, &view.snapshot);
    let url = |url: &Option<String>, none: &str| url.clone().unwrap_or_else(|| none.to_owned());
    let heartbeat = match snapshot.heartbeats.back() {
        Some(last) => format!("{}, {}", last.result, ago(last.at)),
        None => "none seen".to_owned(),
    };
    let callback = &snapshot.probes.callback;
    let called = match callback.last {
        Some((at, peer)) => format!("{}, last {} from {peer}", times(callback.connections), ago(at)),
        None => "not yet".to_owned(),
    };
    let mut mode = snapshot.mode.as_str().to_owned();
    if let Some(why) = &snapshot.held_back {
        mode = format!("{mode} (wanted: {}: {why})", snapshot.wanted_mode.as_str());
    }
    super::html::facts(
        html,
        &[
            ("Callback URL", url(&decision.callback_url, "none")),
            ("Ironic holds", url(&snapshot.pinned, "nothing that we know of")),
            ("Last heartbeat", heartbeat),
            ("Called back", called),
            ("Mode", mode),
        ],
    )
}

/// Every candidate for the address.
pub(super) fn decision(html: &mut String, view: &View) -> fmt::Result {
    html.push_str("<h2>Which address, and why</h2>\n");
    let decision = &view.published.decision;
    if decision.trace.is_empty() {
        paragraph(html, "There is no API URL to look for a route to.")?;
    }
    for target in &decision.trace {
        writeln!(html, "<h3>API {}</h3>", Escaped(&target.url))?;
        if let Some(failure) = &target.failure {
            warning(html, failure)?;
        }
        table(html, ["To", "From", "Device", "Table", "Usable"], target.resolved.iter().map(candidate))?;
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
pub(super) fn agent(html: &mut String, view: &View) -> fmt::Result {
    html.push_str("<h2>ironic-python-agent</h2>\n");
    let ipa = &view.snapshot.ipa;
    match (&ipa.version, ipa.up) {
        (Some(version), _) => paragraph(html, format!("It answers on this machine; version {version}."))?,
        (None, true) => paragraph(html, "It answers on this machine.")?,
        (None, false) => paragraph(html, "It does not answer on this machine.")?,
    }
    match &view.snapshot.dropin {
        DropinStatus::Off => Ok(()),
        DropinStatus::Absent => paragraph(html, "Its configuration drop-in is not written."),
        DropinStatus::Written(address) => {
            paragraph(html, format!("Its configuration drop-in tells it to advertise {address}."))
        }
        DropinStatus::Failed(error) => warning(html, format!("Its configuration drop-in: {error}")),
    }
}

/// What was asked of Ironic, and what it holds.
pub(super) fn ironic(html: &mut String, view: &View) -> fmt::Result {
    let snapshot = &view.snapshot;
    html.push_str("<h2>Ironic</h2>\n");
    if let Some(stale) = &snapshot.stale {
        warning(html, stale)?;
    }
    if snapshot.mode == Mode::Agent {
        let phase = match snapshot.agent.phase {
            AgentPhase::Off | AgentPhase::AwaitingAddress => "waiting for an address",
            AgentPhase::LookingUp => "looking the node up",
            AgentPhase::WithoutToken => "without the agent token, which went to somebody else",
            AgentPhase::AwaitingListener => "waiting for something to listen on the advertised port",
            AgentPhase::Heartbeating => "sending heartbeats",
        };
        paragraph(html, format!("We speak to Ironic ourselves: {phase}."))?;
        if let Some(uuid) = &snapshot.agent.node_uuid {
            paragraph(html, format!("This is node {uuid}."))?;
        }
        if let Some(failure) = &snapshot.agent.last_failure {
            warning(html, failure)?;
        }
    }
    if view.lookups.is_empty() {
        paragraph(html, "No lookup seen.")?;
    } else {
        html.push_str("<h3>Lookups</h3>\n");
        let lookups = view.lookups.iter().map(|(sender, result, count)| Row {
            bad: !matches!(*result, "ok" | "masked_token"),
            cells: [whose(sender).to_owned(), (*result).to_owned(), count.to_string()],
        });
        table(html, ["By", "Result", "How many"], lookups)?;
    }
    if snapshot.heartbeats.is_empty() {
        return paragraph(html, "No heartbeat seen.");
    }
    html.push_str("<h3>Heartbeats</h3>\n");
    let beats = snapshot.heartbeats.iter().rev();
    let beats = beats.map(|beat| Row {
        bad: beat.result != "accepted",
        cells: [ago(beat.at), beat.result.to_owned(), beat.callback_url.clone()],
    });
    table(html, ["When", "Result", "Callback URL"], beats)
}

/// What the guard did, and the bad URLs of whoever sent them.
pub(super) fn guard(html: &mut String, view: &View) -> fmt::Result {
    let (snapshot, guard) = (&view.snapshot, &view.snapshot.guard);
    if snapshot.mode == Mode::Guard {
        html.push_str("<h2>Guard</h2>\n");
        match guard.listening {
            Some(address) => paragraph(html, format!("It listens on {address}."))?,
            None => paragraph(html, "It does not listen yet.")?,
        }
        for (what, words) in [
            ("It is not in the path of ironic-python-agent", &guard.out_of_path),
            ("Lookups are held", &guard.gate),
            ("The last heartbeat was held", &guard.held_heartbeat),
            ("The connection to Ironic contradicts the decision", &guard.witness),
        ] {
            if let Some(words) = words {
                warning(html, format!("{what}: {words}"))?;
            }
        }
        let events = guard.events.iter().rev();
        let events = events.map(|event| Row::plain([ago(event.at), event.what.clone()]));
        table(html, ["When", "What it did"], events)?;
    }
    if snapshot.bad_urls.is_empty() {
        return Ok(());
    }
    html.push_str("<h2>Bad callback URLs seen</h2>\n");
    let bad = snapshot.bad_urls.iter().rev();
    let bad = bad.map(|event| Row {
        bad: true,
        cells: [ago(event.at), format!("\"{}\"", event.url), reasons(&event.reasons)],
    });
    table(html, ["When", "URL", "What is wrong"], bad)
}

/// What is wrong with parameters that others gave.
pub(super) fn parameters(html: &mut String, view: &View) -> fmt::Result {
    let problems = &view.snapshot.problems;
    if problems.is_empty() {
        return Ok(());
    }
    html.push_str("<h2>Problems with parameters</h2>\n<ul>\n");
    for problem in problems {
        writeln!(html, "<li>{}</li>", Escaped(problem))?;
    }
    html.push_str("</ul>\n");
    Ok(())
}

/// Reasons in words, each with its metric label.
fn reasons(labels: &[&str]) -> String {
    let found = Reason::ALL.iter().filter(|reason| labels.contains(&reason.as_str()));
    found.map(|reason| format!("{} [{}]", reason.words(), reason.as_str())).collect::<Vec<_>>().join("; ")
}

fn whose(sender: &str) -> &'static str {
    if sender == "ipa" { "ironic-python-agent" } else { "ipa-sidecar" }
}
