//! Writing HTML: whatever comes from outside is text and nothing else.

use std::fmt::{self, Display, Write};

use crate::Row;

/// The style sheet of every page: for a phone and a large screen, by day and by night.
pub const STYLE: &str = include_str!("style.css");

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

pub(crate) fn heading(html: &mut String, level: u8, text: impl Display) -> fmt::Result {
    writeln!(html, "<h{level}>{}</h{level}>", Escaped(text))
}

/// On a narrow screen each cell is a line of its own, and says itself which column it is.
pub(crate) fn table<const N: usize>(html: &mut String, columns: [&str; N], rows: &[Row<N>]) -> fmt::Result {
    html.push_str("<table><thead><tr>");
    for column in columns {
        write!(html, "<th scope=col>{column}</th>")?;
    }
    html.push_str("</tr></thead><tbody>\n");
    for Row { bad, cells } in rows {
        html.push_str(if *bad { "<tr class=bad>" } else { "<tr>" });
        for (column, cell) in columns.iter().zip(cells) {
            write!(html, "<td data-column=\"{column}\">{}</td>", Escaped(cell))?;
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table>\n");
    Ok(())
}

pub(crate) fn facts(html: &mut String, facts: &[(&str, String)]) -> fmt::Result {
    html.push_str("<table class=facts><tbody>\n");
    for (name, fact) in facts {
        writeln!(html, "<tr><th scope=row>{name}</th><td>{}</td></tr>", Escaped(fact))?;
    }
    html.push_str("</tbody></table>\n");
    Ok(())
}

pub(crate) fn list(html: &mut String, items: &[impl Display]) -> fmt::Result {
    html.push_str("<ul>\n");
    for item in items {
        writeln!(html, "<li>{}</li>", Escaped(item))?;
    }
    html.push_str("</ul>\n");
    Ok(())
}

pub(crate) fn paragraph(html: &mut String, text: impl Display) -> fmt::Result {
    writeln!(html, "<p>{}</p>", Escaped(text))
}

pub(crate) fn warning(html: &mut String, text: impl Display) -> fmt::Result {
    writeln!(html, "<p class=bad>{}</p>", Escaped(text))
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
        table(&mut html, ["A"], &[Row::plain([hostile.to_owned()])]).unwrap();
        facts(&mut html, &[("A", hostile.to_owned())]).unwrap();
        heading(&mut html, 2, hostile).unwrap();
        list(&mut html, &[hostile]).unwrap();
        paragraph(&mut html, hostile).unwrap();
        warning(&mut html, hostile).unwrap();
        assert!(!html.contains("<script") && html.matches("&lt;script&gt;").count() == 6, "{html}");
    }
}
