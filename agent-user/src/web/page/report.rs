//! The node's last words: where they go, and what became of the last report.

use std::fmt;

use exporter::{Sheet, ago, heading, paragraph, warning};

use crate::view::View;

/// Nothing where no reports are wanted.
pub(super) fn report(sheet: &mut Sheet, view: &View) -> fmt::Result {
    let shown = &view.report;
    let Some(url) = &shown.url else { return Ok(()) };
    heading(sheet, "Reports")?;
    if let Some(why) = &shown.off {
        return warning(sheet, format!("No reports are sent to {url}: {why}"));
    }
    let (Some(at), Some(occasion), Some(result)) = (shown.last, shown.last_occasion, shown.last_result)
    else {
        return paragraph(sheet, format!("No report was sent to {url} yet."));
    };
    let last =
        format!("The last report to {url} was sent {} because {}", ago(at.elapsed()), occasion.words());
    match &shown.last_failure {
        None => paragraph(sheet, format!("{last}. It was accepted.")),
        Some(why) => warning(sheet, format!("{last}. It was not accepted: {why} [{}]", result.as_str())),
    }
}
