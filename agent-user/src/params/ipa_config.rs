//! oslo.config's INI files, as IPA reads them (`oslo_config/iniparser.py`): only what the section `[DEFAULT]` holds.

use std::collections::BTreeMap;

use super::cmdline::is_space;

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
struct Pending {
    name: String,
    value: String,
}

/// Reads one file. Bytes that are no UTF-8 become U+FFFD.
pub fn parse(text: &[u8]) -> IpaConfig {
    let text = String::from_utf8_lossy(text).replace("\r\n", "\n").replace('\r', "\n");
    let mut config = IpaConfig::default();
    let mut section: Option<String> = None;
    let mut pending: Option<Pending> = None;

    for (index, line) in text.split('\n').enumerate() {
        let number = index.saturating_add(1);
        let line = line.trim_end_matches(is_space);
        if line.starts_with([' ', '\t']) {
            match &mut pending {
                Some(assignment) => {
                    assignment.value.push('\n');
                    assignment.value.push_str(line.trim_start_matches(is_space));
                }
                None => config.refused.push((number, "a continuation of nothing")),
            }
            continue;
        }
        finish(pending.take(), section.as_deref(), &mut config);
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            match rest.strip_suffix(']') {
                Some("") => config.refused.push((number, "a section without a name")),
                Some(name) => section = Some(name.to_owned()),
                None => config.refused.push((number, "a section without its closing ]")),
            }
            continue;
        }
        match split(line) {
            Err(reason) => config.refused.push((number, reason)),
            Ok(_) if section.is_none() => config.refused.push((number, "an option before the first section")),
            Ok(assignment) => pending = Some(assignment),
        }
    }
    finish(pending, section.as_deref(), &mut config);
    config
}

/// Takes an assignment into the options where it stands in `[DEFAULT]`; oslo compares that name exactly.
fn finish(pending: Option<Pending>, section: Option<&str>, config: &mut IpaConfig) {
    if let Some(Pending { name, value }) = pending
        && section == Some("DEFAULT")
    {
        config.options.insert(name, value);
    }
}

/// Splits at the first `=` or `:`; one pair of quotes around the value goes.
fn split(line: &str) -> Result<Pending, &'static str> {
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
    Ok(Pending { name: name.to_owned(), value: value.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(text: &str, name: &str) -> Option<String> {
        parse(text.as_bytes()).options.get(name).cloned()
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
        assert!(parse(text.as_bytes()).refused.is_empty());
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
        let config = parse(b"a=0\n[DEFAULT]\n\n  lost\n[]\n[x\nword\n= 3\na=1\n");
        let lines: Vec<usize> = config.refused.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 4, 5, 6, 7, 8]);
        assert_eq!(config.options.get("a").map(String::as_str), Some("1"));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(noise: Vec<u8>) {
            let _ = parse(&noise);
        }

        #[test]
        fn a_last_assignment_always_wins(noise in "[ -~\n\t]{0,200}") {
            let text = format!("{noise}\n[DEFAULT]\nk = 'v'\n");
            proptest::prop_assert_eq!(option(&text, "k"), Some("v".to_owned()));
        }
    }
}
