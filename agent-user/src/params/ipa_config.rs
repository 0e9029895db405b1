//! oslo.config's INI files, as IPA reads them (`oslo_config/iniparser.py`): only what the section `[DEFAULT]` holds.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::cmdline::{VALUE_BYTES, bounded, is_space};

/// What one file says.
#[derive(Default, PartialEq, Eq)]
pub struct IpaConfig {
    /// The options of `[DEFAULT]`; of several with the same name the last. No `Debug`: the agent token may be among the
    /// values.
    pub options: BTreeMap<String, String>,
    /// Lines (counted from 1) that oslo refuses, and why. IPA does not start with such a file.
    pub refused: Vec<(usize, &'static str)>,
}

/// An assignment whose continuation lines are still to come.
struct Pending<'a> {
    name: &'a str,
    value: Cow<'a, str>,
}

impl Pending<'_> {
    fn goes_on(&mut self, line: &str) {
        if self.value.len() <= VALUE_BYTES {
            let value = self.value.to_mut();
            value.push('\n');
            value.push_str(&bounded(line));
        }
    }
}

/// The only section that is read. oslo compares its name exactly.
const DEFAULT: &str = "DEFAULT";

/// So many lines that oslo refuses are named: IPA ends at the first of them.
const REFUSED: usize = 8;

impl IpaConfig {
    /// Takes an assignment of the section.
    fn finish(&mut self, pending: Option<Pending<'_>>, is_wanted: &impl Fn(&str) -> bool) {
        if let Some(Pending { name, value }) = pending.filter(|pending| is_wanted(pending.name)) {
            self.options.insert(name.to_owned(), bounded(&value).into_owned());
        }
    }

    fn refuse(&mut self, line: usize, reason: &'static str) {
        if self.refused.len() < REFUSED {
            self.refused.push((line, reason));
        }
    }
}

/// Reads one file. Bytes that are no UTF-8 become U+FFFD. An option that is not wanted is passed over.
pub fn parse(text: &[u8], is_wanted: impl Fn(&str) -> bool) -> IpaConfig {
    let text = String::from_utf8_lossy(text);
    let mut config = IpaConfig::default();
    let mut section: Option<&str> = None;
    let mut pending: Option<Pending<'_>> = None;

    for (index, line) in lines(&text).enumerate() {
        let number = index.saturating_add(1);
        let line = line.trim_end_matches(is_space);
        if line.starts_with([' ', '\t']) {
            match &mut pending {
                Some(assignment) => assignment.goes_on(line.trim_start_matches(is_space)),
                None => config.refuse(number, "a continuation of nothing"),
            }
            continue;
        }
        config.finish(pending.take().filter(|_| section == Some(DEFAULT)), &is_wanted);
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            match rest.strip_suffix(']') {
                Some("") => config.refuse(number, "a section without a name"),
                Some(name) => section = Some(name),
                None => config.refuse(number, "a section without its closing ]"),
            }
            continue;
        }
        match split(line) {
            Err(reason) => config.refuse(number, reason),
            Ok(_) if section.is_none() => config.refuse(number, "an option before the first section"),
            Ok(assignment) => pending = Some(assignment),
        }
    }
    config.finish(pending.filter(|_| section == Some(DEFAULT)), &is_wanted);
    config
}

/// The lines of a text, however they end.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = text.find(['\n', '\r']);
        rest = end.and_then(|end| {
            let behind = text.get(end..)?;
            behind.strip_prefix("\r\n").or_else(|| behind.get(1..))
        });
        text.get(..end.unwrap_or(text.len()))
    })
}

/// Splits at the first `=` or `:`; one pair of quotes around the value goes.
fn split(line: &str) -> Result<Pending<'_>, &'static str> {
    let (name, value) = line.split_once(['=', ':']).ok_or("neither = nor : in it")?;
    let name = name.trim_matches(is_space);
    if name.is_empty() {
        return Err("an option without a name");
    }
    let value = value.trim_matches(is_space);
    let value = match value.chars().next() {
        Some(quote @ ('"' | '\'')) if value.ends_with(quote) => {
            let inside = value.strip_prefix(quote).unwrap_or_default();
            inside.strip_suffix(quote).unwrap_or_default()
        }
        _ => value,
    };
    Ok(Pending { name, value: bounded(value) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(text: &str, name: &str) -> Option<String> {
        parse(text.as_bytes(), |_| true).options.get(name).cloned()
    }

    #[test]
    fn reads_what_oslo_reads() {
        let text = "# comment\n[DEFAULT]\napi_url = http://192.0.2.1:6385\n; other\nadvertise-host: 192.0.2.9  \n\
                    cafile = \"/etc/a b.crt\"\nkeyfile = '\"x\"'\ncertfile = 'half\nempty=\nquote = \"\n[other]\napi_url = no\n\
                    [DEFAULT]\napi_url = https://ironic.example:6385";
        for (name, value) in [
            ("api_url", "https://ironic.example:6385"),
            ("advertise-host", "192.0.2.9"),
            ("cafile", "/etc/a b.crt"),
            ("keyfile", "\"x\""),
            ("certfile", "'half"),
            ("empty", ""),
            ("quote", ""),
        ] {
            assert_eq!(option(text, name).as_deref(), Some(value), "{name}");
        }
        assert!(parse(text.as_bytes(), |_| true).refused.is_empty());
    }

    #[test]
    fn continuation_lines_belong_to_the_value() {
        let text = "[DEFAULT]\r\napi_url = http://a,\r\n  http://b\r\n\t# no comment\r\nx=1\r\n";
        assert_eq!(option(text, "api_url").as_deref(), Some("http://a,\nhttp://b\n# no comment"));
        assert_eq!(option(text, "x").as_deref(), Some("1"));
    }

    #[test]
    fn the_section_is_compared_exactly() {
        assert_eq!(option("[default]\na=1", "a"), None);
        assert_eq!(option("[ DEFAULT ]\na=1", "a"), None);
    }

    #[test]
    fn names_the_lines_that_oslo_refuses_and_keeps_the_rest() {
        let config = parse(b"a=0\n[DEFAULT]\n\n  lost\n[]\n[x\nword\n= 3\na=1\n", |_| true);
        let lines: Vec<usize> = config.refused.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 4, 5, 6, 7, 8]);
        assert_eq!(config.options.get("a").map(String::as_str), Some("1"));
    }

    #[test]
    fn endless_values_and_many_bad_lines_take_no_memory() {
        let text =
            format!("[DEFAULT]\na = {}\n b\nc=1\nd=1\n{}", "x".repeat(VALUE_BYTES + 1), "bad\n".repeat(100));
        let config = parse(text.as_bytes(), |name| name != "c");
        assert_eq!(config.options.keys().collect::<Vec<_>>(), ["a", "d"]);
        assert!(config.options["a"].ends_with('\u{fffd}') && config.options["a"].len() < VALUE_BYTES + 9);
        assert_eq!(config.refused.len(), REFUSED);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(noise: Vec<u8>) {
            let _ = parse(&noise, |_| true);
        }

        #[test]
        fn a_last_assignment_always_wins(noise in "[ -~\n\t]{0,200}") {
            let text = format!("{noise}\n[DEFAULT]\nk = 'v'\n");
            proptest::prop_assert_eq!(option(&text, "k"), Some("v".to_owned()));
        }
    }
}
