//! The daemon's own configuration file: what it may hold.

use std::collections::BTreeMap;
use std::path::Path;

use settings::SettingError;
use settings::file::{self, Form};
use text::printable;

use super::kind::Kind;
use super::layers::Given;
use super::problem::ParamsError;
use super::removed::REMOVED;
use super::spec::{Givers, Parameter, TABLE};

/// Reads the text of the file; `path` is only named.
pub(super) fn parse(path: &Path, text: &str) -> Result<BTreeMap<String, Given>, ParamsError> {
    let given = file::read(path, text, &Keys)?;
    let entry = |one: file::Given| (one.name.to_owned(), Given { text: one.text, detail: one.detail });
    Ok(given.into_iter().map(entry).collect())
}

struct Keys;

impl file::Keys for Keys {
    type Error = ParamsError;

    fn find(&self, name: &str) -> Option<(&'static str, Form)> {
        let in_file = |row: &&Parameter| matches!(row.givers, Givers::Own | Givers::OwnRunOnly);
        let row = TABLE.iter().filter(in_file).find(|row| row.name == name)?;
        Some((row.name, form(row.kind)))
    }

    fn unknown(&self, name: &str, path: &str, line: usize) -> ParamsError {
        if let Some(removed) = REMOVED.iter().find(|removed| removed.name == name) {
            let origin = format!("{path}:{line}");
            return ParamsError::Removed { name: removed.name, origin, instead: removed.instead };
        }
        let wanted = match TABLE.iter().find(|row| row.name == name) {
            Some(row) if row.secret => "the name of a file, given as ironic.agent-token-file".to_owned(),
            Some(row) if row.givers == Givers::FlagAndEnvironment => {
                format!("it as the flag --{name} or in {}", row.environment_name())
            }
            Some(_) => "it in IPA's own configuration: here it is only read".to_owned(),
            None => "the name of a flag, as in `ironic.api-url = \"http://192.0.2.1:6385\"`".to_owned(),
        };
        SettingError::UnknownKey { path: path.to_owned(), line, key: printable(name), wanted }.into()
    }
}

fn form(kind: Kind) -> Form {
    match kind {
        Kind::Boolean(_) => Form::Boolean,
        Kind::Port(_) | Kind::Count(_) => Form::Number,
        Kind::Duration(..) => Form::Duration,
        Kind::ApiUrls(_) => Form::List,
        _ => Form::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<BTreeMap<String, Given>, String> {
        parse(Path::new("/etc/our.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn dotted_keys_and_tables_are_the_same() {
        let dotted = "ironic.api-url = [\"http://a\", \"http://b\"]\nweb.config.file = \"/w\"\n\nadvertise.port = 9_998\nagent.without-listener = true";
        let tables = "[ironic]\napi-url = \"http://a,http://b\"\n[web.config]\nfile = \"/w\"\n[advertise]\nport = 9998\n[agent]\nwithout-listener = true";
        let (dotted, tables) = (read(dotted).unwrap(), read(tables).unwrap());
        let texts = |values: &BTreeMap<String, Given>| -> Vec<(String, String)> {
            values.iter().map(|(k, v)| (k.clone(), v.text.clone())).collect()
        };
        assert_eq!(texts(&dotted), texts(&tables));
        assert_eq!(dotted.len(), 4);
        assert_eq!(dotted.get("advertise.port").unwrap().detail, "/etc/our.toml:4");
        assert_eq!(read("advertise.wait = 1.5").unwrap().get("advertise.wait").unwrap().text, "1.5");
    }

    #[test]
    fn errors_name_key_file_and_line() {
        for (text, parts) in [
            ("\nironic.api_url = \"x\"", ["/etc/our.toml:2", "\"ironic.api_url\"", "ironic.api-url"]),
            ("[ironic]\n\ninsecure = \"yes\"", ["/etc/our.toml:3", "ironic.insecure", "true or false"]),
            ("advertise.port = \"1\"", ["/etc/our.toml:1", "advertise.port", "whole number"]),
            ("ironic.api-url = [1]", ["/etc/our.toml:1", "ironic.api-url", "array of strings"]),
            ("log = 3", ["/etc/our.toml:1", "\"log\"", "name of a flag"]),
            ("config.file = \"x\"", ["/etc/our.toml:1", "config.file", "IPA_SIDECAR_CONFIG_FILE"]),
            ("ipa.listen-port = 1", ["/etc/our.toml:1", "ipa.listen-port", "IPA's own configuration"]),
            ("\nguard.stand-in = true", ["/etc/our.toml:2", "guard.stand-in", "is gone"]),
            ("a = 1\na = 2", ["/etc/our.toml:2", "TOML", "duplicate"]),
            ("\n\nx", ["/etc/our.toml:3", "TOML", "="]),
        ] {
            let error = read(text).err().unwrap();
            for part in parts {
                assert!(error.contains(part), "{error}: {part}");
            }
        }
    }

    #[test]
    fn a_token_in_the_file_is_refused_and_not_shown() {
        for text in ["ironic.agent-token = \"hunter2\"", "ironic.agent-token = hunter2"] {
            let error = read(text).err().unwrap();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(noise in "\\PC*") {
            let _ = read(&noise);
        }
    }
}
