//! What was found, for people.

use std::io::{self, Write};

use callback_url::{Reason, Verdict};

use crate::show::{Colours, line, nodes};

use super::found::{Cause, Found, Seen, Symptom};

/// The most characters of a URL.
const URL: usize = 300;

/// Prints it.
pub fn print(found: &Found, colours: Colours, out: &mut impl Write) -> io::Result<()> {
    for (node, causes) in &found.nodes {
        let node = if node.is_empty() { "a node that the log does not name" } else { node };
        writeln!(out, "{}", colours.strong(&format!("node {node}")))?;
        for cause in causes.values() {
            print_cause(cause, colours, out)?;
        }
        writeln!(out)?;
    }
    let is_bad = |cause: &Cause| cause.judgement.verdict == Verdict::Bad;
    let by_url = found.nodes.values().filter(|causes| causes.values().any(is_bad)).count();
    let others = found.nodes.len().saturating_sub(by_url);
    match (by_url, others) {
        (0, 0) => writeln!(out, "The log names no agent that could not be reached.")?,
        (by_url, 0) => writeln!(out, "{} failed by a bad agent URL.", nodes(by_url))?,
        (by_url, others) => writeln!(
            out,
            "{} failed by a bad agent URL. {} could not be reached by a good one.",
            nodes(by_url),
            nodes(others)
        )?,
    }
    if found.omitted > 0 {
        writeln!(out, "{} records more found no room here.", found.omitted)?;
    }
    Ok(())
}

fn print_cause(cause: &Cause, colours: Colours, out: &mut impl Write) -> io::Result<()> {
    let guessed = if cause.port_is_guessed { " (the log shows the host only)" } else { "" };
    let url = line(&cause.url, URL);
    let judgement = &cause.judgement;
    match judgement.verdict {
        Verdict::Bad => writeln!(out, "  agent URL    {}{guessed}", colours.bad(&url))?,
        Verdict::Good => writeln!(out, "  agent URL    {url}: good as it stands")?,
    }
    for reason in &judgement.reasons {
        writeln!(out, "  wrong        {}: {}", reason.as_str(), reason.words())?;
    }
    if let Some(suggestion) = &judgement.suggestion {
        writeln!(out, "  meant to be  {}", line(suggestion, URL))?;
    }
    for (symptom, seen) in &cause.symptoms {
        writeln!(out, "  symptom      {}", print_symptom(*symptom, seen))?;
    }
    for words in meaning(cause) {
        writeln!(out, "  meaning      {words}")?;
    }
    Ok(())
}

fn print_symptom(symptom: Symptom, seen: &Seen) -> String {
    let what = match symptom {
        Symptom::Call(class) => format!("a call to the agent failed ({}): {}", class.as_str(), class.words()),
        Symptom::Portal => "Ironic waited for an iSCSI device of that address, and none came".to_owned(),
    };
    let (first, last) = (line(&seen.first, 40), line(&seen.last, 40));
    let when = match (first.is_empty(), first == last || last.is_empty()) {
        (true, _) => String::new(),
        (false, true) => format!("; {first}"),
        (false, false) => format!("; first {first}, last {last}"),
    };
    format!("{what} ({}{when})", exporter::times(seen.count))
}

fn meaning(cause: &Cause) -> Vec<&'static str> {
    let mut words = Vec::new();
    if cause.judgement.verdict == Verdict::Good {
        return words;
    }
    if cause.symptoms.len() > 1 {
        words.push(
            "One cause, several symptoms: Ironic takes each of these addresses out of the node's agent_url.",
        );
    }
    let reasons = &cause.judgement.reasons;
    let is_text =
        reasons.iter().any(|reason| matches!(reason, Reason::PercentEncodedHost | Reason::Whitespace));
    if is_text && cause.url.contains("uid") {
        words.push(
            "The ramdisk's ironic-python-agent took its address from the text of `ip route get`, and iproute2 appends \
             \"uid 0\" to it: use a newer agent, or give it its address.",
        );
    }
    words.push(
        "The ramdisk sent this URL in its first heartbeat; Ironic keeps it until the node is powered off or rebooted through \
         Ironic.",
    );
    words
}
