//! What the report had of an earlier release: a column of the next one.

use std::collections::HashMap;

/// The figures of one release, by section and row.
#[derive(Debug, Default)]
pub struct Earlier {
    /// The release.
    pub version: String,
    values: HashMap<(String, String), String>,
}

/// How the report names the release that it is of.
const OF: &str = "Of version ";

/// The line that [`Earlier::of`] finds.
pub fn names(version: &str) -> String {
    format!("{OF}{version}.")
}

impl Earlier {
    /// Reads a report. Of the same version its column of the release before counts; of another one what it measured.
    pub fn of(report: &str, version: &str) -> Self {
        // The first releases did not name themselves.
        let its = report.lines().find_map(|line| line.strip_prefix(OF)?.strip_suffix('.')).unwrap_or("0.1.0");
        let is_same = its == version;
        let mut earlier = Self { version: its.to_owned(), values: HashMap::new() };
        let mut section = "";
        for line in report.lines() {
            if let Some(title) = line.strip_prefix("## ") {
                section = title;
            }
            let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
            match cells[..] {
                ["", "measured", "aim", before] if is_same => earlier.version = before.to_owned(),
                [what, _, _, value] if is_same => earlier.keep(section, what, value),
                [what, value, ..] if !is_same && line.starts_with('|') => earlier.keep(section, what, value),
                _ => {}
            }
        }
        earlier
    }

    fn keep(&mut self, section: &str, what: &str, value: &str) {
        self.values.insert((section.to_owned(), what.to_owned()), value.to_owned());
    }

    /// What it had there; nothing where it had no such row.
    pub fn value(&self, section: &str, what: &str) -> &str {
        self.values.get(&(section.to_owned(), what.to_owned())).map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_the_release_before_stay_beside_those_of_this_one() {
        let first = "# Head\n\n## A\n\n| | measured | aim |\n|---|---|---|\n| ours | 3 us | |\n| a ratio | 1.2 | 1.5: met |\n";
        let earlier = Earlier::of(first, "0.2.0");
        assert_eq!(earlier.version, "0.1.0");
        assert_eq!((earlier.value("A", "ours"), earlier.value("A", "a ratio")), ("3 us", "1.2"));
        assert_eq!((earlier.value("B", "ours"), earlier.value("A", "others")), ("", ""));
        let second = format!(
            "{}\n## A\n\n| | measured | aim | 0.1.0 |\n|---|---|---|---|\n| ours | 2 us | | 3 us |\n",
            names("0.2.0")
        );
        let again = Earlier::of(&second, "0.2.0");
        assert_eq!((again.version.as_str(), again.value("A", "ours")), ("0.1.0", "3 us"));
        let next = Earlier::of(&second, "0.3.0");
        assert_eq!((next.version.as_str(), next.value("A", "ours")), ("0.2.0", "2 us"));
    }
}
