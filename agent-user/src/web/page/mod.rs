//! The page for people: plain HTML that a phone and a text browser show too, without scripts and outside resources.

mod connections;
mod headline;
mod sections;

use std::fmt::{self, Write};

use exporter::{Escaped, paragraph};

use crate::readiness::Readiness;
use crate::view::View;
use headline::Headline;

/// The style sheet.
pub(super) const STYLE: &str = include_str!("style.css");

/// How often the page loads itself again, in seconds.
const REFRESH: u32 = 10;

/// The whole page.
pub(super) fn render(view: &View, ready: &Readiness) -> String {
    let mut html = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut html, view, ready);
    html
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
    paragraph(html, format_args!("Decision: {}.", view.published.decision))?;
    sections::facts(html, view)?;
    sections::decision(html, view)?;
    sections::agent(html, view)?;
    sections::ironic(html, view)?;
    sections::guard(html, view)?;
    connections::connections(html, view)?;
    connections::probes(html, view)?;
    sections::parameters(html, view)?;
    write!(
        html,
        "<h2>More</h2>\n<ul>\n<li><a href=\"/state\">State as JSON</a></li>\n\
         <li><a href=\"/metrics\">Metrics for Prometheus</a></li>\n\
         <li><a href=\"/-/ready\">Ready?</a></li>\n<li><a href=\"/-/healthy\">Healthy?</a></li>\n</ul>\n\
         <p>ipa-sidecar {} ({}). This page loads itself again every {REFRESH} s.</p>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
        Escaped(env!("IPA_SIDECAR_REVISION")),
    )
}
