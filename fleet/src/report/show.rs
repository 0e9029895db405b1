//! The last words of a node, for people. All of it is hearsay: the node says so.

use std::fmt;
use std::net::IpAddr;

use exporter::{Sheet, ago, facts, heading, paragraph, warning};
use serde_json::Value;
use text::foreign_text;

use super::words::{Report, Words};

/// What is shown of a report: its place, and what it is.
const SHOWN: [(&str, &str); 13] = [
    ("/report/occasion", "Sent for"),
    ("/callback_url", "Callback URL"),
    ("/pinned_url", "Ironic holds"),
    ("/ready_reason", "Ready"),
    ("/mode", "Mode"),
    ("/reason", "No address because"),
    ("/passed_by/sentence", "Bypassed"),
    ("/stale", "Stale"),
    ("/guard/refused", "Refused"),
    ("/sight/refused", "Refused"),
    ("/agent/last_failure", "Last failure"),
    ("/probes/callback/connections", "Call-backs"),
    ("/probes/callback/refused", "Call-backs refused"),
];

/// Writes a section; nothing where there are no words. `meant` is the address that the URL of the node's last failure
/// meant: what came from there is the node's, though Ironic never had that address.
///
/// # Errors
/// Of the sheet.
pub fn section(sheet: &mut Sheet, words: &Words, meant: Option<IpAddr>) -> fmt::Result {
    if words.own.is_none() && words.unverified.is_empty() {
        return Ok(());
    }
    heading(sheet, "Last words")?;
    let (meant, others): (Vec<_>, Vec<_>) =
        words.unverified.iter().rev().partition(|report| Some(report.from) == meant);
    for report in words.own.iter().chain(meant) {
        paragraph(sheet, format!("The node says, {}:", source(report)))?;
        says(sheet, report)?;
    }
    for report in others {
        let words = "Unverified: Ironic did not have the sender's address for this node. It says";
        warning(sheet, format!("{words}, {}:", source(report)))?;
        says(sheet, report)?;
    }
    Ok(())
}

fn source(report: &Report) -> String {
    format!("{} ({}), from {}", report.at, ago(report.since.elapsed()), report.from)
}

fn says(sheet: &mut Sheet, report: &Report) -> fmt::Result {
    // It was JSON when it was kept.
    let state: Value = serde_json::from_str(&report.text).unwrap_or_default();
    let mut rows: Vec<(&str, String)> =
        SHOWN.iter().filter_map(|(place, name)| Some((*name, short(state.pointer(place)?)?))).collect();
    rows.extend(last(&state, "heartbeats", "result", "callback_url").map(|text| ("Last heartbeat", text)));
    rows.extend(last(&state, "bad_agent_urls", "reasons", "url").map(|text| ("Last bad URL", text)));
    rows.extend(
        last(&state, "probes/connect_failures", "errno", "peer").map(|text| ("Last failed connect", text)),
    );
    let problems = state.pointer("/problems").and_then(Value::as_array).into_iter().flatten();
    rows.extend(problems.filter_map(short).take(5).map(|text| ("Problem", text)));
    facts(sheet, &rows)
}

/// The newest entry of a list, two fields of it.
fn last(state: &Value, list: &str, first: &str, second: &str) -> Option<String> {
    let entry = state.pointer(&format!("/{list}"))?.as_array()?.last()?;
    Some(format!("{}: {}", short(entry.get(first)?)?, short(entry.get(second)?)?))
}

fn short(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    };
    Some(foreign_text(&text, None))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::moment::Moment;

    fn report(text: &str) -> Report {
        let (from, at) = ("192.0.2.1".parse().unwrap(), Moment::from_seconds(1_767_323_045));
        Report { from, at, since: Instant::now(), text: text.into() }
    }

    #[test]
    fn it_is_hearsay_and_no_markup() {
        let own = report(
            r#"{"report": {"occasion": "answer"}, "callback_url": "<script>x</script>", "mode": "configure",
                "bad_agent_urls": [{"url": "http://a", "reasons": ["path"]}, {"url": "http://192.0.2.5%20uid", "reasons": ["percent_encoded_host"]}],
                "heartbeats": "odd", "problems": ["\u001b[31mred", 7, null], "reason": null}"#,
        );
        let words = Words { own: Some(own), unverified: vec![report("not json")] };
        let mut sheet = Sheet::html();
        section(&mut sheet, &words, None).unwrap();
        let html = sheet.into_text();
        for part in [
            "Last words",
            "The node says, 2026-01-02T03:04:05Z (0 s ago), from 192.0.2.1:",
            "&lt;script&gt;",
            "percent_encoded_host: http://192.0.2.5%20uid",
            "Unverified: Ironic did not have",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        assert!(
            !html.contains("<script") && !html.contains('\u{1b}') && !html.contains("http://a<"),
            "{html}"
        );
        let mut empty = Sheet::html();
        section(&mut empty, &Words::default(), None).unwrap();
        assert_eq!(empty.into_text(), "");
    }

    #[test]
    fn what_came_from_the_address_that_a_bad_url_meant_is_the_nodes() {
        let words = Words { own: None, unverified: vec![report("{}")] };
        let shown = |meant: &str| {
            let mut sheet = Sheet::html();
            section(&mut sheet, &words, meant.parse().ok()).unwrap();
            sheet.into_text()
        };
        assert!(shown("192.0.2.1").contains("The node says") && !shown("192.0.2.1").contains("Unverified"));
        assert!(shown("192.0.2.2").contains("Unverified"));
    }
}
