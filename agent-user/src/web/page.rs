//! The page for people: plain HTML that a text browser shows too.

use std::fmt::{self, Display, Write};

use super::View;
use crate::advertise::CandidateTrace;
use crate::status::{DropinStatus, ProbesStatus, seconds};

const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:60em;margin:1em auto;padding:0 1em}\
    table{border-collapse:collapse}td,th{text-align:left;padding:.1em 1em .1em 0;vertical-align:top}\
    .bad{color:#b00020}.good{color:#00692b}code{font-size:95%}";

/// Text that may stand in HTML.
struct Escaped<T>(T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.to_string().chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// The whole page.
pub fn render(view: &View) -> String {
    let mut html = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut html, view);
    html
}

fn write(html: &mut String, view: &View) -> fmt::Result {
    let decision = &view.published.decision;
    let (class, word, why) = match &view.ready {
        Ok(words) => ("good", "Ready", words),
        Err(words) => ("bad", "Not ready", words),
    };
    write!(
        html,
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <meta http-equiv=refresh content=10><title>ipa-sidecar</title><style>{STYLE}</style>\
         <h1>ipa-sidecar</h1><p class={class}><strong>{word}</strong>: {}</p><p>{}</p>",
        Escaped(why),
        Escaped(decision),
    )?;
    if let Some(url) = &decision.callback_url {
        write!(html, "<p>Callback URL: <code>{}</code></p>", Escaped(url))?;
    }
    trace(html, view)?;
    ironic(html, view)?;
    probes(html, &view.snapshot.probes)?;
    agent(html, view)?;
    list(html, "Problems with parameters", view.snapshot.problems.iter())?;
    write!(
        html,
        "<p><a href=/metrics>metrics</a> <a href=/state>state</a> <a href=/-/ready>ready</a> \
         <a href=/-/healthy>healthy</a></p><p>Version {} ({}), mode {}</p></html>",
        env!("CARGO_PKG_VERSION"),
        Escaped(env!("IPA_SIDECAR_REVISION")),
        view.snapshot.mode.as_str(),
    )
}

fn trace(html: &mut String, view: &View) -> fmt::Result {
    html.push_str("<h2>Routes to the Ironic API</h2>");
    for target in &view.published.decision.trace {
        write!(html, "<p><code>{}</code></p>", Escaped(&target.url))?;
        if let Some(failure) = &target.failure {
            write!(html, "<p class=bad>{}</p>", Escaped(failure))?;
        }
        html.push_str("<table><tr><th>API address<th>our source<th>device<th>table<th>");
        for candidate in &target.resolved {
            row(html, candidate)?;
        }
        html.push_str("</table>");
    }
    Ok(())
}

fn row(html: &mut String, candidate: &CandidateTrace) -> fmt::Result {
    let (class, verdict) = if candidate.accepted { ("good", "yes") } else { ("bad", "no") };
    write!(
        html,
        "<tr><td>{}<td>{}<td>{}<td>{}<td class={class}>{verdict} {}",
        candidate.ip,
        candidate.source.map(|ip| ip.to_string()).unwrap_or_default(),
        Escaped(candidate.device.as_deref().unwrap_or_default()),
        candidate.table.map(|table| table.to_string()).unwrap_or_default(),
        Escaped(candidate.detail.as_deref().unwrap_or_default()),
    )
}

fn ironic(html: &mut String, view: &View) -> fmt::Result {
    let snapshot = &view.snapshot;
    if let Some(url) = &snapshot.pinned {
        write!(html, "<p>Ironic holds <code>{}</code></p>", Escaped(url))?;
    }
    let heartbeats = snapshot.heartbeats.iter().rev().map(|event| {
        format!("{} ago: {} for {}", seconds(event.at.elapsed()), event.result, event.callback_url)
    });
    list(html, "Last heartbeats", heartbeats)?;
    let events = snapshot.guard.events.iter().rev();
    list(
        html,
        "What the guard did",
        events.map(|event| format!("{} ago: {}", seconds(event.at.elapsed()), event.what)),
    )?;
    let bad = snapshot.bad_urls.iter().rev().map(|event| {
        format!("{} ago: {:?}: {}", seconds(event.at.elapsed()), event.url, event.reasons.join(", "))
    });
    list(html, "Bad callback URLs seen", bad)
}

fn probes(html: &mut String, probes: &ProbesStatus) -> fmt::Result {
    let callback = &probes.callback;
    html.push_str("<h2>Connections</h2><p>");
    match callback.last {
        Some((at, peer)) => {
            let (ago, all) = (seconds(at.elapsed()), callback.connections);
            write!(html, "The advertised port was reached from {peer} {ago} ago, {all} times in all.")?;
        }
        None => html.push_str("Nobody from outside has reached the advertised port yet."),
    }
    if let Some((at, peer)) = callback.last_refused {
        let (ago, all) = (seconds(at.elapsed()), callback.refused);
        write!(html, " <span class=bad>{peer} was refused {ago} ago, {all} times in all.</span>")?;
    }
    html.push_str("</p>");
    let failures = probes.connect_failures.iter().rev().map(|failure| {
        format!(
            "{} ago: {} to {} after {}, {:?} (pid {}, user {})",
            seconds(failure.at.elapsed()),
            failure.errno,
            failure.peer,
            seconds(failure.duration),
            failure.comm,
            failure.process,
            failure.user,
        )
    });
    list(html, "Connects that failed", failures)?;
    list(html, "Probes that are missing", probes.report.lacking().iter())
}

fn agent(html: &mut String, view: &View) -> fmt::Result {
    html.push_str("<h2>ironic-python-agent</h2>");
    match (&view.snapshot.ipa.version, view.snapshot.ipa.up) {
        (Some(version), _) => write!(html, "<p>It answers; version {}.</p>", Escaped(version))?,
        (None, true) => html.push_str("<p>It answers.</p>"),
        (None, false) => html.push_str("<p>It does not answer.</p>"),
    }
    match &view.snapshot.dropin {
        DropinStatus::Off => Ok(()),
        DropinStatus::Absent => write!(html, "<p>Its drop-in is not written.</p>"),
        DropinStatus::Written(address) => write!(html, "<p>Its drop-in says {}.</p>", Escaped(address)),
        DropinStatus::Failed(error) => write!(html, "<p class=bad>{}</p>", Escaped(error)),
    }
}

fn list(html: &mut String, heading: &str, items: impl Iterator<Item = impl Display>) -> fmt::Result {
    let mut items = items.peekable();
    if items.peek().is_none() {
        return Ok(());
    }
    write!(html, "<h2>{heading}</h2><ul>")?;
    for item in items {
        write!(html, "<li>{}", Escaped(item))?;
    }
    html.push_str("</ul>");
    Ok(())
}
