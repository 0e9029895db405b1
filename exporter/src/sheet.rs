//! What people read: a page of HTML, or plain text for a console. The same sentences stand on both.

use std::fmt::{self, Display};
use std::time::Duration;

use crate::{console, html};

/// What is written on.
#[derive(Debug)]
pub struct Sheet {
    written: String,
    medium: Medium,
}

#[derive(Debug, Clone, Copy)]
enum Medium {
    Html,
    Console,
}

/// One row of a table.
pub struct Row<const N: usize> {
    /// Colours or marks it; the words of its cells say the same.
    pub bad: bool,
    /// The cells.
    pub cells: [String; N],
}

impl<const N: usize> Row<N> {
    /// One without a colour.
    pub fn plain(cells: [String; N]) -> Self {
        Self { bad: false, cells }
    }
}

impl Sheet {
    /// A part of a page.
    pub fn html() -> Self {
        Self { written: String::new(), medium: Medium::Html }
    }

    /// Lines of at most 80 columns.
    pub fn console() -> Self {
        Self { written: String::new(), medium: Medium::Console }
    }

    /// What was written.
    pub fn into_text(self) -> String {
        self.written
    }
}

/// A heading.
pub fn heading(sheet: &mut Sheet, text: impl Display) -> fmt::Result {
    match sheet.medium {
        Medium::Html => html::heading(&mut sheet.written, 2, text),
        Medium::Console => console::heading(&mut sheet.written, text),
    }
}

/// A heading below another one.
pub fn subheading(sheet: &mut Sheet, text: impl Display) -> fmt::Result {
    match sheet.medium {
        Medium::Html => html::heading(&mut sheet.written, 3, text),
        Medium::Console => console::subheading(&mut sheet.written, text),
    }
}

/// A paragraph.
pub fn paragraph(sheet: &mut Sheet, text: impl Display) -> fmt::Result {
    match sheet.medium {
        Medium::Html => html::paragraph(&mut sheet.written, text),
        Medium::Console => console::paragraph(&mut sheet.written, text),
    }
}

/// A paragraph about something that is wrong.
pub fn warning(sheet: &mut Sheet, text: impl Display) -> fmt::Result {
    match sheet.medium {
        Medium::Html => html::warning(&mut sheet.written, text),
        Medium::Console => console::warning(&mut sheet.written, text),
    }
}

/// Sentences, each for itself.
pub fn list(sheet: &mut Sheet, items: &[impl Display]) -> fmt::Result {
    match sheet.medium {
        Medium::Html => html::list(&mut sheet.written, items),
        Medium::Console => console::list(&mut sheet.written, items),
    }
}

/// A table with a heading for each column; nothing where it has no rows.
pub fn table<const N: usize>(
    sheet: &mut Sheet,
    columns: [&str; N],
    rows: impl Iterator<Item = Row<N>>,
) -> fmt::Result {
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return Ok(());
    }
    match sheet.medium {
        Medium::Html => html::table(&mut sheet.written, columns, &rows),
        Medium::Console => console::table(&mut sheet.written, columns, &rows),
    }
}

/// A table of two columns whose first one says what the second one is.
pub fn facts(sheet: &mut Sheet, facts: &[(&str, String)]) -> fmt::Result {
    match sheet.medium {
        Medium::Html => html::facts(&mut sheet.written, facts),
        Medium::Console => console::facts(&mut sheet.written, facts),
    }
}

/// How often, for people.
pub fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// How long ago, for people.
pub fn ago(since: Duration) -> String {
    format!("{} ago", duration(since))
}

/// How long something took, for people.
pub fn took(duration: Duration) -> String {
    match duration.as_secs_f64() {
        seconds if seconds < 1.0 => format!("{:.1} ms", seconds * 1000.0),
        seconds => format!("{seconds:.1} s"),
    }
}

fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{minutes} min"),
        _ => format!("{hours} h {} min", minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        for (seconds, words) in
            [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7300, "2 h 1 min")]
        {
            assert_eq!(duration(Duration::from_secs(seconds)), words);
        }
        assert_eq!(took(Duration::from_micros(87)), "0.1 ms");
        assert_eq!(took(Duration::from_millis(1234)), "1.2 s");
    }
}
