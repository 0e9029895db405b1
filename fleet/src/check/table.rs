//! `check` for people: a sentence, a table with the worst first, and what its words mean.

use std::collections::BTreeMap;
use std::io::{self, Write};

use callback_url::Reason;

use crate::failure::Class;
use crate::moment::Moment;
use crate::poll::{Look, Wish};
use crate::show::{Colours, line, nodes, span};
use crate::subject::Subject;

use super::json::sorted;

const COLUMNS: [&str; 6] = ["NODE", "STATE", "WHEN", "WHAT", "AGENT URL", "MEANT TO BE"];
/// No cell is wider.
const WIDEST: [usize; 6] = [40, 20, 24, 60, 80, 80];

/// Prints it.
pub fn print(look: &Look, wish: &Wish, colours: Colours, out: &mut impl Write) -> io::Result<()> {
    for problem in &look.blind {
        writeln!(out, "{}", colours.bad(&format!("BLIND: {}", line(problem, 1000))))?;
    }
    let shown = sorted(look, wish.all);
    if look.visible > 0 {
        writeln!(out, "{}", colours.strong(&headline(look, wish)))?;
    }
    if !shown.is_empty() {
        writeln!(out)?;
        table(&shown, look.now, colours, out)?;
        writeln!(out)?;
        legend(&shown, out)?;
    }
    for note in &look.notes {
        writeln!(out, "note: {}", line(note, 1000))?;
    }
    Ok(())
}

fn headline(look: &Look, wish: &Wish) -> String {
    let with_url = look.nodes.values().filter(|node| node.agent_url.is_some()).count();
    let bad = look.nodes.values().filter(|node| node.is_bad()).count();
    let failures = look.nodes.values().filter_map(|node| node.failure.as_ref());
    let failures: Vec<_> = failures.collect();
    let by_url = failures.iter().filter(|failure| !failure.reasons.is_empty()).count();
    let visible = match &wish.node {
        Some(_) => String::new(),
        None => format!("{} visible. ", nodes(look.visible)),
    };
    format!(
        "{visible}{bad} of {with_url} agent URLs cannot work. Failures within {}: {}, of these {by_url} by a bad agent URL.",
        span(wish.since),
        failures.len()
    )
}

/// Whatever is to be said of one node.
fn cells(node: &Subject, now: Option<Moment>) -> [String; 6] {
    let ago = |at: Moment| now.map_or_else(|| at.to_string(), |now| format!("{} ago", span(at.until(now))));
    let reasons = |class: Option<Class>, reasons: &[Reason]| {
        let words = class.into_iter().map(Class::as_str).chain(reasons.iter().map(|reason| reason.as_str()));
        words.collect::<Vec<_>>().join(", ")
    };
    let (when, what, url, meant) = match &node.failure {
        Some(failure) if !node.is_bad() => (
            ago(failure.at),
            reasons(Some(failure.class), &failure.reasons),
            failure.url.clone(),
            failure.suggestion.clone(),
        ),
        _ => (
            node.last_heartbeat.map_or_else(String::new, |at| format!("heard {}", ago(at))),
            reasons(None, &node.reasons),
            node.agent_url.clone(),
            node.suggestion.clone(),
        ),
    };
    let name = node.name.clone().unwrap_or_else(|| node.uuid.clone());
    [name, node.provision_state.clone(), when, what, url.unwrap_or_default(), meant.unwrap_or_default()]
}

fn table(shown: &[&Subject], now: Option<Moment>, colours: Colours, out: &mut impl Write) -> io::Result<()> {
    let mut widths = COLUMNS.map(|column| column.chars().count());
    let row = |node: &Subject| {
        let mut cells = cells(node, now);
        for (cell, widest) in cells.iter_mut().zip(WIDEST) {
            *cell = line(cell, widest);
        }
        cells
    };
    // Made twice, so that ten thousand rows take no memory.
    for node in shown {
        for (width, cell) in widths.iter_mut().zip(row(node)) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let join = |cells: [String; 6]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    writeln!(out, "{}", join(COLUMNS.map(str::to_owned)))?;
    for node in shown {
        let text = join(row(node));
        let text = match node.rank() {
            0 => colours.bad(&text),
            1..=4 => colours.warning(&text),
            _ => text,
        };
        writeln!(out, "{text}")?;
    }
    Ok(())
}

/// What the words of the table mean, and of how many nodes they were said.
fn legend(shown: &[&Subject], out: &mut impl Write) -> io::Result<()> {
    let mut classes: BTreeMap<Class, usize> = BTreeMap::new();
    let mut reasons: BTreeMap<Reason, usize> = BTreeMap::new();
    for node in shown {
        if let Some(failure) = node.failure.as_ref().filter(|_| !node.is_bad()) {
            *classes.entry(failure.class).or_default() += 1;
            failure.reasons.iter().for_each(|reason| *reasons.entry(*reason).or_default() += 1);
        } else {
            node.reasons.iter().for_each(|reason| *reasons.entry(*reason).or_default() += 1);
        }
    }
    for (class, count) in classes {
        writeln!(out, "{}: {} ({})", class.as_str(), class.words(), nodes(count))?;
    }
    for (reason, count) in reasons {
        writeln!(out, "{}: {} ({})", reason.as_str(), reason.words(), nodes(count))?;
    }
    Ok(())
}
