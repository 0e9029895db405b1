//! Writing HTML: whatever comes from outside is text and nothing else.

use std::fmt::{self, Display, Write};
use std::time::Duration;

/// Text that may stand in HTML, in an attribute with quotes too. Characters that are not seen, or turn the direction of
/// others, are written out.
pub struct Escaped<T>(
    /// The text.
    pub T,
);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.to_string().chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => text::inert(other).try_for_each(|character| f.write_char(character))?,
            }
        }
        Ok(())
    }
}

/// One row of a table.
pub struct Row<const N: usize> {
    /// Colours it; the words of its cells say the same.
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

/// A table with a heading for each column; nothing where it has no rows. On a narrow screen each cell is a line of its
/// own, and says itself which column it is.
pub fn table<const N: usize>(
    html: &mut String,
    columns: [&str; N],
    rows: impl Iterator<Item = Row<N>>,
) -> fmt::Result {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    html.push_str("<table><thead><tr>");
    for column in columns {
        write!(html, "<th scope=col>{column}</th>")?;
    }
    html.push_str("</tr></thead><tbody>\n");
    for Row { bad, cells } in rows {
        html.push_str(if bad { "<tr class=bad>" } else { "<tr>" });
        for (column, cell) in columns.iter().zip(cells) {
            write!(html, "<td data-column=\"{column}\">{}</td>", Escaped(cell))?;
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table>\n");
    Ok(())
}

/// A table of two columns whose first one says what the second one is.
pub fn facts(html: &mut String, facts: &[(&str, String)]) -> fmt::Result {
    html.push_str("<table class=facts><tbody>\n");
    for (name, fact) in facts {
        writeln!(html, "<tr><th scope=row>{name}</th><td>{}</td></tr>", Escaped(fact))?;
    }
    html.push_str("</tbody></table>\n");
    Ok(())
}

/// A paragraph.
pub fn paragraph(html: &mut String, text: impl Display) -> fmt::Result {
    writeln!(html, "<p>{}</p>", Escaped(text))
}

/// A paragraph about something that is wrong.
pub fn warning(html: &mut String, text: impl Display) -> fmt::Result {
    writeln!(html, "<p class=bad>{}</p>", Escaped(text))
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
    fn nothing_from_outside_is_markup() {
        let hostile = "</td><script>alert('x')</script>&amp;\"\u{202e}\u{0}\n";
        assert_eq!(
            Escaped(hostile).to_string(),
            "&lt;/td&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;amp;&quot;\\u{202e}\\0\\n"
        );
        let mut html = String::new();
        table(&mut html, ["A"], [Row::plain([hostile.to_owned()])].into_iter()).unwrap();
        facts(&mut html, &[("A", hostile.to_owned())]).unwrap();
        paragraph(&mut html, hostile).unwrap();
        warning(&mut html, hostile).unwrap();
        assert!(!html.contains("<script") && html.matches("&lt;script&gt;").count() == 4, "{html}");
    }

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
