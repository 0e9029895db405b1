//! Writing for a console: lines of at most 80 columns, and nothing that a terminal takes for a command.

use std::fmt::{self, Display, Write};
use std::iter::repeat_n;

use crate::Row;

/// What every console has.
const WIDTH: usize = 80;
/// Less room for its last column makes a table unreadable: its cells then stand below each other.
const LAST_COLUMN: usize = 24;

/// In front of what is right, and of what is wrong.
fn mark(bad: bool) -> &'static str {
    if bad { "! " } else { "  " }
}

/// The text with every control and direction character written out.
fn plain(text: impl Display) -> String {
    text.to_string().chars().flat_map(text::inert).collect()
}

fn width(text: &str) -> usize {
    text.chars().count()
}

pub(crate) fn heading(out: &mut String, text: impl Display) -> fmt::Result {
    let text = plain(text);
    out.push('\n');
    wrap(out, "", 0, &text);
    writeln!(out, "{}", "-".repeat(width(&text).min(WIDTH)))
}

pub(crate) fn subheading(out: &mut String, text: impl Display) -> fmt::Result {
    wrap(out, "", 2, &plain(text));
    Ok(())
}

pub(crate) fn paragraph(out: &mut String, text: impl Display) -> fmt::Result {
    wrap(out, mark(false), 2, &plain(text));
    Ok(())
}

pub(crate) fn warning(out: &mut String, text: impl Display) -> fmt::Result {
    wrap(out, mark(true), 2, &plain(text));
    Ok(())
}

pub(crate) fn list(out: &mut String, items: &[impl Display]) -> fmt::Result {
    items.iter().try_for_each(|item| warning(out, item))
}

pub(crate) fn facts(out: &mut String, facts: &[(&str, String)]) -> fmt::Result {
    let widest = facts.iter().map(|(name, _)| width(name)).max().unwrap_or_default();
    for (name, fact) in facts {
        wrap(out, &format!("  {name:widest$}  "), widest + 4, &plain(fact));
    }
    Ok(())
}

pub(crate) fn table<const N: usize>(out: &mut String, columns: [&str; N], rows: &[Row<N>]) -> fmt::Result {
    let mut widths = columns.map(width);
    for row in rows {
        for (widest, cell) in widths.iter_mut().zip(&row.cells) {
            *widest = (*widest).max(width(&plain(cell)));
        }
    }
    let before_last = widths.iter().take(N.saturating_sub(1)).fold(2, |sum, width| sum + width + 2);
    if before_last + LAST_COLUMN.min(widths.last().copied().unwrap_or_default()) > WIDTH {
        return below_each_other(out, columns, rows);
    }
    let mut line = |bad: bool, cells: &mut dyn Iterator<Item = String>| {
        let mut line = mark(bad).to_owned();
        let mut last = String::new();
        for (number, (cell, width)) in cells.zip(widths).enumerate() {
            match number + 1 == N {
                true => last = cell,
                false => {
                    let _ = write!(line, "{cell:width$}  "); // Writing to a String cannot fail.
                }
            }
        }
        wrap(out, &line, before_last, &last);
    };
    line(false, &mut columns.iter().map(|column| column.to_uppercase()));
    for Row { bad, cells } in rows {
        line(*bad, &mut cells.iter().map(plain));
    }
    Ok(())
}

/// For tables that are too wide.
fn below_each_other<const N: usize>(out: &mut String, columns: [&str; N], rows: &[Row<N>]) -> fmt::Result {
    let widest = columns.iter().map(|column| width(column)).max().unwrap_or_default();
    for Row { bad, cells } in rows {
        for (number, (column, cell)) in columns.iter().zip(cells).enumerate() {
            let mark = mark(*bad && number == 0);
            wrap(out, &format!("{mark}{column:widest$}  "), widest + 4, &plain(cell));
        }
    }
    Ok(())
}

/// Writes words behind `first`, and further lines below them, `indent` columns from the left. A word that is too long
/// for a line is cut.
fn wrap(out: &mut String, first: &str, indent: usize, words: &str) {
    let mut line = first.to_owned();
    let mut is_empty = true;
    let mut end = |line: &mut String| {
        out.push_str(line.trim_end());
        out.push('\n');
        line.clear();
        line.extend(repeat_n(' ', indent));
    };
    for mut word in words.split(' ') {
        loop {
            let gap = usize::from(!is_empty);
            let room = WIDTH.saturating_sub(width(&line) + gap).max(1);
            if width(word) <= room {
                line.extend(repeat_n(' ', gap));
                line.push_str(word);
                is_empty = false;
                break;
            }
            if is_empty {
                let at = word.char_indices().nth(room).map_or(word.len(), |(at, _)| at);
                let (now, later) = word.split_at(at);
                line.push_str(now);
                word = later;
            }
            end(&mut line);
            is_empty = true;
        }
    }
    end(&mut line);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(cells: [&str; 3]) -> Row<3> {
        Row { bad: cells[0] == "bad", cells: cells.map(str::to_owned) }
    }

    #[test]
    fn tables_are_aligned_and_their_last_column_is_wrapped() {
        let mut out = String::new();
        let long = "word ".repeat(16);
        table(&mut out, ["When", "To", "Why"], &[row(["1 s ago", "x", &long]), row(["bad", "y", "z"])])
            .unwrap();
        assert_eq!(
            out,
            format!(
                "  WHEN     TO  WHY\n  1 s ago  x   {}\n{}{}\n! bad      y   z\n",
                "word ".repeat(13).trim_end(),
                " ".repeat(15),
                "word ".repeat(3).trim_end()
            )
        );
    }

    #[test]
    fn a_table_that_is_too_wide_stands_below_each_other() {
        let mut out = String::new();
        table(&mut out, ["When", "To", "Why"], &[row(["bad", &"y".repeat(90), "z"])]).unwrap();
        let cut = "y".repeat(72);
        assert_eq!(out, format!("! When  bad\n  To    {cut}\n        {}\n  Why   z\n", "y".repeat(18)));
    }

    #[test]
    fn facts_and_headings_are_lines() {
        let mut out = String::new();
        heading(&mut out, "One").unwrap();
        facts(&mut out, &[("A", "x".to_owned()), ("Long", "y".to_owned())]).unwrap();
        list(&mut out, &["wrong"]).unwrap();
        assert_eq!(out, "\nOne\n---\n  A     x\n  Long  y\n! wrong\n");
    }

    proptest! {
        #[test]
        fn nothing_from_outside_is_a_command_or_too_wide(text in any::<String>(), other in ".{0,200}") {
            let mut out = String::new();
            heading(&mut out, &text).unwrap();
            paragraph(&mut out, &text).unwrap();
            facts(&mut out, &[("Name", text.clone())]).unwrap();
            let cells = [text.clone(), other.clone(), text.clone()];
            table(&mut out, ["A", "B", "C"], &[Row { bad: true, cells }]).unwrap();
            for line in out.lines() {
                prop_assert!(width(line) <= WIDTH, "{line:?}");
                prop_assert!(!line.chars().any(|character| character.is_control()), "{line:?}");
            }
        }
    }
}
