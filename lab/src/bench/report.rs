//! The figures as tables.

use std::fmt::{self, Write};

use super::earlier::Earlier;

/// One figure of the report.
#[derive(Debug, Default)]
pub struct Figure {
    title: &'static str,
    method: String,
    rows: Vec<Row>,
    /// What limits it: printed where an aim is missed.
    limit: &'static str,
}

#[derive(Debug)]
struct Row {
    what: String,
    value: String,
    aim: Option<Aim>,
}

/// What the project aims at, and whether it is so.
#[derive(Debug)]
pub struct Aim {
    words: String,
    met: bool,
}

impl Aim {
    /// `value` is at most `limit`, which `show` formats.
    pub fn at_most(value: f64, limit: f64, show: impl Fn(f64) -> String) -> Self {
        Self { words: format!("at most {}", show(limit)), met: value <= limit }
    }

    /// `value` is at least `limit`.
    pub fn at_least(value: f64, limit: f64, show: impl Fn(f64) -> String) -> Self {
        Self { words: format!("at least {}", show(limit)), met: value >= limit }
    }
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.words, if self.met { "met" } else { "**missed**" })
    }
}

impl Figure {
    /// With its method.
    pub fn new(title: &'static str, method: impl Into<String>) -> Self {
        Self { title, method: method.into(), ..Self::default() }
    }

    /// One more row.
    pub fn row(&mut self, what: impl Into<String>, value: impl Into<String>) {
        self.rows.push(Row { what: what.into(), value: value.into(), aim: None });
    }

    /// One more row, with an aim.
    pub fn aimed(&mut self, what: impl Into<String>, value: impl Into<String>, aim: Aim) {
        self.rows.push(Row { what: what.into(), value: value.into(), aim: Some(aim) });
    }

    /// Why it is not better: printed where an aim is missed.
    pub fn limited_by(&mut self, why: &'static str) {
        self.limit = why;
    }

    /// As markdown.
    pub fn text(&self) -> String {
        self.text_beside(None)
    }

    /// The same, with what an earlier release had in a column of its own.
    pub fn text_beside(&self, earlier: Option<&Earlier>) -> String {
        let Self { title, method, rows, limit } = self;
        let mut text = format!("\n## {title}\n\n{method}\n\n");
        // Writing to a String does not fail.
        let _ = match earlier {
            Some(Earlier { version, .. }) => {
                writeln!(text, "| | measured | aim | {version} |\n|---|---|---|---|")
            }
            None => writeln!(text, "| | measured | aim |\n|---|---|---|"),
        };
        let mut missed = String::new();
        for Row { what, value, aim } in rows {
            if let Some(Aim { words, met: false }) = aim {
                let _ = writeln!(missed, "Missed: {what} is {value}. The aim is {words}.");
            }
            let aim = aim.as_ref().map(Aim::to_string).unwrap_or_default();
            let _ = write!(text, "| {what} | {value} | {aim} |");
            if let Some(earlier) = earlier {
                let _ = write!(text, " {} |", earlier.value(title, what));
            }
            text.push('\n');
        }
        if !missed.is_empty() {
            let _ = write!(text, "\n{missed}");
            if !limit.is_empty() {
                let _ = writeln!(text, "{limit}");
            }
        }
        text
    }

    /// Only its rows with an aim, as lines of a table that names this figure.
    pub fn aims(&self) -> String {
        let mut lines = String::new();
        for Row { what, value, aim } in &self.rows {
            if let Some(aim) = aim {
                let _ = writeln!(lines, "| {}: {what} | {value} | {aim} |", self.title);
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missed_is_reported() {
        let mut figure = Figure::new("A thing", "How.");
        figure.row("ours", "3 us");
        figure.aimed("ours / floor", "1.20", Aim::at_most(1.2, 1.5, |ratio| format!("{ratio:.1}")));
        figure.limited_by("The kernel is slow.");
        assert!(!figure.text().contains("issed"), "{}", figure.text());
        figure.aimed("process / ours", "100", Aim::at_least(100.0, 200.0, |ratio| format!("{ratio:.0}")));
        let text = figure.text();
        assert!(text.contains("| ours / floor | 1.20 | at most 1.5: met |"), "{text}");
        assert!(
            text.ends_with(
                "\nMissed: process / ours is 100. The aim is at least 200.\nThe kernel is slow.\n"
            ),
            "{text}"
        );
    }
}
