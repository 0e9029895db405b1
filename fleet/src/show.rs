//! Foreign text as it may stand on a terminal, and the little that is meant for the terminal itself: colours.

use std::io;
use std::time::Duration;

use text::{inert, redact};

/// A text on one line: redacted, what a terminal would act on escaped, cut after so many characters.
pub fn line(text: &str, most: usize) -> String {
    let text = redact(text);
    let mut shown: String = text.chars().take(most).flat_map(inert).collect();
    if text.chars().nth(most).is_some() {
        shown.push_str("...");
    }
    shown
}

/// A reader that closed the pipe early has what it wanted; the exit code stays what was found.
///
/// # Errors
/// Any other error of the output.
pub fn unless_closed(printed: io::Result<()>) -> io::Result<()> {
    printed.or_else(|error| if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })
}

/// How long, for people.
pub fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// One node or several.
pub fn nodes(count: usize) -> String {
    if count == 1 { "1 node".to_owned() } else { format!("{count} nodes") }
}

/// Colours, where they are wanted.
#[derive(Debug, Clone, Copy)]
pub struct Colours(bool);

impl Colours {
    /// On a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
    pub fn of(is_terminal: bool) -> Self {
        Self(is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
    }

    /// None.
    pub fn none() -> Self {
        Self(false)
    }

    /// What is wrong now.
    pub fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// What was wrong.
    pub fn warning(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// A headline.
    pub fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_acts_on_a_terminal_and_no_token_shows() {
        assert_eq!(line("a\x1b[31m\n\u{202e}b", 99), "a\\u{1b}[31m\\n\\u{202e}b");
        assert_eq!(line("x?agent_token=abc&y", 99), "x?agent_token=******&y");
        assert_eq!(line("abcdef", 3), "abc...");
    }

    #[test]
    fn spans() {
        for (seconds, text) in [(5, "5 s"), (150, "2 min"), (7200, "2 h"), (200_000, "2 days")] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }
}
