//! The pages for people: plain HTML that a phone and a text browser show too, without scripts and outside resources.

use std::fmt::{self, Write};
use std::time::Duration;

use exporter::{Escaped, Row, STYLE, Sheet, facts, heading, list, paragraph, table, warning};

use crate::moment::Moment;
use crate::show::{line, nodes, span};

use super::fleet::{Fleet, Why};
use super::kept::{self, Heard, Kept};
use super::memory::Recorded;
use super::trouble::{self, Trouble, What};

/// How often a page loads itself again, in seconds.
const REFRESH: u32 = 10;
/// The most rows of a table.
const ROWS: usize = 200;
/// Failures on the first page.
const FAILURES: usize = 20;
/// The most characters of a name in a table; the page of the node has all of it.
const NAME: usize = 40;
/// Failures that the sentence on top counts.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What stands on top.
struct Headline {
    class: &'static str,
    word: &'static str,
    sentence: String,
}

impl Headline {
    fn of(fleet: &Fleet) -> Self {
        if let Some(blind) = fleet.blind.first() {
            let (class, word) =
                if blind.why == Why::Starting { ("wait", "Starting") } else { ("bad", "Blind") };
            return Self { class, word, sentence: blind.text.clone() };
        }
        if let Some(sentence) = fleet.is_stale() {
            return Self { class: "bad", word: "Blind", sentence };
        }
        let ramdisks = fleet.live().filter(|node| node.agent_url.is_some()).count();
        let bad = fleet.live().filter(|node| node.is_bad()).count();
        let failed = fleet.failures.iter().filter(|one| one.failure.at.until(fleet.now) <= DAY).count();
        let failures = match failed {
            0 => String::new(),
            1 => "; 1 failure within 24 h".to_owned(),
            failed => format!("; {failed} failures within 24 h"),
        };
        match (bad, ramdisks) {
            (0, 0) => Self {
                class: if failed == 0 { "good" } else { "wait" },
                word: "Idle",
                sentence: format!("no ramdisk of {} has called back{failures}", nodes(fleet.states.len())),
            },
            (0, _) => Self {
                class: if failed == 0 { "good" } else { "wait" },
                word: "Healthy",
                sentence: format!("the agent_url of each of {ramdisks} ramdisks can work{failures}"),
            },
            _ => Self {
                class: "bad",
                word: "Trouble",
                sentence: format!(
                    "{bad} of {ramdisks} ramdisks have an agent_url that cannot work{failures}"
                ),
            },
        }
    }
}

/// The first page.
pub fn fleet(fleet: &Fleet) -> String {
    let Headline { class, word, sentence } = Headline::of(fleet);
    let on_top = format!("<p id=state class={class}><strong>{word}:</strong> {}</p>\n", Escaped(sentence));
    framed(word, &on_top, |html| {
        let mut sheet = Sheet::html();
        known(&mut sheet, fleet)?;
        html.push_str(&sheet.into_text());
        troubles(html, fleet)?;
        failures(
            html,
            "Last failures",
            fleet.failures.iter().take(FAILURES).map(AsRef::as_ref),
            fleet.now(),
        )?;
        let mut sheet = Sheet::html();
        remarks(&mut sheet, fleet)?;
        html.push_str(&sheet.into_text());
        html.push_str(
            "<h2>More</h2>\n<ul>\n<li><a href=\"/failures\">Failures as JSON</a></li>\n\
             <li><a href=\"/metrics\">Metrics for Prometheus</a></li>\n\
             <li><a href=\"/sd\">Targets for Prometheus</a></li>\n\
             <li><a href=\"/-/ready\">Ready?</a></li>\n<li><a href=\"/-/healthy\">Healthy?</a></li>\n</ul>\n",
        );
        Ok(())
    })
}

/// The page of one node; `None` where nobody knows it. `more` is what else is known of it, as HTML.
pub fn node(fleet: &Fleet, key: u128, more: &str) -> Option<String> {
    let state = *fleet.states.get(&key)?;
    let kept = fleet.nodes.get(&key);
    let title = kept.map_or_else(|| kept::uuid(key), |node| node.title());
    let on_top = format!("<p id=state><strong>{}</strong></p>\n", Escaped(&title));
    Some(framed(&title, &on_top, |html| {
        let mut sheet = Sheet::html();
        let mut rows = vec![("UUID", kept::uuid(key)), ("State", state.to_owned())];
        rows.extend(kept.into_iter().flat_map(|node| details(node, fleet.now())));
        facts(&mut sheet, &rows)?;
        remarks(&mut sheet, fleet)?;
        html.push_str(&sheet.into_text());
        let own = fleet.failures.iter().filter(|failure| failure.key == key).map(AsRef::as_ref);
        failures(html, "Failures", own.clone(), fleet.now())?;
        for text in own.map(|failure| &failure.failure.text).take(FAILURES) {
            writeln!(html, "<p>{}</p>", Escaped(text))?;
        }
        html.push_str(more);
        html.push_str("<p><a href=\"/\">All nodes</a></p>\n");
        Ok(())
    }))
}

fn framed(title: &str, on_top: &str, body: impl FnOnce(&mut String) -> fmt::Result) -> String {
    let mut html = format!(
        "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n\
         <meta name=viewport content=\"width=device-width,initial-scale=1\">\n\
         <meta http-equiv=refresh content={REFRESH}>\n\
         <title>{} - ipa-fleet</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>ipa-fleet</h1>\n{on_top}",
        Escaped(title),
    );
    // Writing to a String cannot fail.
    let _ = body(&mut html);
    let version = env!("CARGO_PKG_VERSION");
    html.push_str(&format!(
        "<p>ipa-fleet {version}. This page loads itself again every {REFRESH} s.</p>\n</body>\n</html>\n"
    ));
    html
}

fn known(sheet: &mut Sheet, fleet: &Fleet) -> fmt::Result {
    if fleet.last_good.is_none() {
        return Ok(());
    }
    let heard = |wanted| fleet.live().filter(|node| node.heard(fleet.now) == wanted).count().to_string();
    facts(
        sheet,
        &[
            ("Visible nodes", fleet.states.len().to_string()),
            ("Ramdisks heard within 5 min", heard(Heard::Recently)),
            ("Ramdisks heard before", heard(Heard::Late)),
            ("Ramdisks awaited", heard(Heard::Never)),
            ("As of", format!("{} ({} ago)", fleet.now, span(fleet.at.elapsed()))),
        ],
    )
}

fn troubles(html: &mut String, fleet: &Fleet) -> fmt::Result {
    let troubles = trouble::of(fleet);
    if troubles.is_empty() {
        return Ok(());
    }
    writeln!(html, "<h2>Nodes in trouble ({})</h2>", troubles.len())?;
    let columns = ["Node", "State", "What", "Agent URL", "Meant to be"];
    linked(
        html,
        columns,
        troubles.iter().take(ROWS).map(|trouble| (&*trouble.node, trouble_cells(trouble))),
    )?;
    if troubles.len() > ROWS {
        writeln!(html, "<p>{} more are not shown.</p>", troubles.len() - ROWS)?;
    }
    Ok(())
}

fn trouble_cells(trouble: &Trouble) -> [String; 4] {
    let node = &trouble.node;
    let own = |url: &Option<Box<str>>| url.as_deref().unwrap_or_default().to_owned();
    let (what, url, meant) = match &trouble.what {
        What::BadUrl(reason) => (reason.words().to_owned(), own(&node.agent_url), own(&node.suggestion)),
        What::SharedAddress => {
            ("another node claims the same address".to_owned(), own(&node.agent_url), own(&node.suggestion))
        }
        What::NeverHeard(waited) => {
            (format!("its ramdisk was not heard for {}", span(*waited)), String::new(), String::new())
        }
        What::Failed(None) => {
            ("it has failed, and no text gives the reason".to_owned(), own(&node.last_url), String::new())
        }
        What::Failed(Some(recorded)) => {
            let failure = &recorded.failure;
            (
                words(recorded),
                failure.url.clone().unwrap_or_default(),
                failure.suggestion.clone().unwrap_or_default(),
            )
        }
    };
    [node.state.to_owned(), what, url, meant]
}

/// What went wrong, and what was wrong with the URL.
fn words(recorded: &Recorded) -> String {
    let class = recorded.failure.class.words();
    match recorded.failure.reasons.first() {
        Some(reason) => format!("{class}: {}", reason.words()),
        None => class.to_owned(),
    }
}

/// A table whose first column leads to the node's page.
fn linked<'a>(
    html: &mut String,
    columns: [&str; 5],
    rows: impl Iterator<Item = (&'a Kept, [String; 4])>,
) -> fmt::Result {
    html.push_str("<table><thead><tr>");
    for column in columns {
        write!(html, "<th scope=col>{column}</th>")?;
    }
    html.push_str("</tr></thead><tbody>\n");
    let [first, others @ ..] = columns;
    for (node, cells) in rows {
        let (uuid, title) = (node.uuid(), line(&node.title(), NAME));
        write!(
            html,
            "<tr><td data-column=\"{first}\"><a href=\"/nodes/{uuid}\">{}</a></td>",
            Escaped(title)
        )?;
        for (column, cell) in others.iter().zip(cells) {
            write!(html, "<td data-column=\"{column}\">{}</td>", Escaped(cell))?;
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table>\n");
    Ok(())
}

fn failures<'a>(
    html: &mut String,
    title: &str,
    shown: impl Iterator<Item = &'a Recorded>,
    now: Moment,
) -> fmt::Result {
    let mut sheet = Sheet::html();
    let rows: Vec<_> = shown
        .take(ROWS)
        .map(|one| {
            let failure = &one.failure;
            let name = one.name.as_deref().map_or_else(|| kept::uuid(one.key), str::to_owned);
            let when = format!("{} ago", span(failure.at.until(now)));
            let [url, meant] = [&failure.url, &failure.suggestion].map(|url| url.clone().unwrap_or_default());
            Row { bad: one.counted, cells: [when, name, words(one), url, meant] }
        })
        .collect();
    if !rows.is_empty() {
        heading(&mut sheet, title)?;
        paragraph(&mut sheet, "A failure from before ipa-fleet started has no mark, and is not counted.")?;
        table(&mut sheet, ["When", "Node", "What", "Agent URL", "Meant to be"], rows.into_iter())?;
    }
    html.push_str(&sheet.into_text());
    Ok(())
}

fn details(node: &Kept, now: Moment) -> Vec<(&'static str, String)> {
    let ago = |at: Option<Moment>| {
        at.map_or_else(|| "never".to_owned(), |at| format!("{at} ({} ago)", span(at.until(now))))
    };
    let text = |url: &Option<Box<str>>| url.as_deref().unwrap_or("none").to_owned();
    let mut rows = vec![
        ("Name", text(&node.name)),
        ("Power", if node.powered_on { "on" } else { "off or not known" }.to_owned()),
        ("State since", ago(node.changed_at)),
        ("Agent URL", text(&node.agent_url)),
    ];
    if node.is_bad() {
        let words: Vec<_> = node.reasons.iter().map(|reason| reason.words()).collect();
        rows.push(("What is wrong with it", words.join("; ")));
        rows.push(("Meant to be", text(&node.suggestion)));
    }
    if node.agent_url.is_none() && node.last_url.is_some() {
        rows.push(("The last one seen", text(&node.last_url)));
    }
    rows.push(("Heard", ago(node.last_heartbeat)));
    rows
}

/// Why this program is blind, and the other notes.
fn remarks(sheet: &mut Sheet, fleet: &Fleet) -> fmt::Result {
    for blind in fleet.blind.iter().take(FAILURES) {
        warning(sheet, format_args!("What is shown may be old or incomplete: {}", blind.text))?;
    }
    if !fleet.notes.is_empty() {
        heading(sheet, "Notes")?;
        list(sheet, &fleet.notes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn an_old_look_is_no_health() {
        let seen = Fleet { blind: Vec::new(), last_good: Some(Instant::now()), ..Fleet::starting() };
        assert!(fleet(&seen).contains("<strong>Idle:</strong>"));
        let old = Fleet { last_good: Instant::now().checked_sub(Duration::from_secs(301)), ..seen };
        let html = fleet(&old);
        assert!(html.contains("<strong>Blind:</strong> the last good poll is too long ago"), "{html}");
        assert!(fleet(&Fleet::starting()).contains("<strong>Starting:</strong>"));
    }
}
