//! The page for people: plain HTML that a phone and a text browser show too, without scripts and outside resources; and
//! the same sentences for the console.

mod connections;
mod headline;
mod report;
mod sections;

use std::fmt::{self, Write};

use exporter::{Escaped, STYLE, Sheet, paragraph, warning};

use crate::readiness::Readiness;
use crate::view::View;
use headline::Headline;

/// How often the page loads itself again, in seconds.
const REFRESH: u32 = 10;

/// The whole page.
pub(super) fn render(view: &View, ready: &Readiness) -> String {
    let mut html = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut html, view, ready);
    html
}

/// The same for a console.
pub(super) fn console(view: &View, ready: &Readiness) -> String {
    let mut sheet = Sheet::console();
    let Headline { word, class, sentence } = Headline::of(view, ready);
    let headline = format!("{word}: {sentence}");
    let headline =
        if class == "bad" { warning(&mut sheet, headline) } else { paragraph(&mut sheet, headline) };
    // Writing to a String cannot fail.
    let _ = headline.and_then(|()| body(&mut sheet, view));
    sheet.into_text()
}

/// Everything below the headline.
fn body(sheet: &mut Sheet, view: &View) -> fmt::Result {
    paragraph(sheet, format_args!("Decision: {}.", view.published.decision))?;
    sections::facts(sheet, view)?;
    sections::decision(sheet, view)?;
    sections::agent(sheet, view)?;
    sections::ironic(sheet, view)?;
    sections::guard(sheet, view)?;
    connections::connections(sheet, view)?;
    connections::probes(sheet, view)?;
    report::report(sheet, view)?;
    sections::problems(sheet, view)
}

fn write(html: &mut String, view: &View, ready: &Readiness) -> fmt::Result {
    let Headline { word, class, sentence } = Headline::of(view, ready);
    write!(
        html,
        "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n\
         <meta name=viewport content=\"width=device-width,initial-scale=1\">\n\
         <meta http-equiv=refresh content={REFRESH}>\n\
         <title>{word} - ipa-sidecar</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>ipa-sidecar</h1>\n<p id=state class={class}><strong>{word}:</strong> {}</p>\n",
        Escaped(sentence),
    )?;
    let mut sheet = Sheet::html();
    body(&mut sheet, view)?;
    html.push_str(&sheet.into_text());
    write!(
        html,
        "<h2>More</h2>\n<ul>\n<li><a href=\"/state\">State as JSON</a></li>\n\
         <li><a href=\"/metrics\">Metrics for Prometheus</a></li>\n\
         <li><a href=\"/-/ready\">Ready?</a></li>\n<li><a href=\"/-/healthy\">Healthy?</a></li>\n</ul>\n\
         <p>ipa-sidecar {} ({}). This page loads itself again every {REFRESH} s.</p>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
        Escaped(env!("BUILD_REVISION")),
    )
}
