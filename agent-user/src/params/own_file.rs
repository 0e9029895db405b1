//! Our own configuration file: TOML whose dotted keys are the names of the flags.

use std::collections::BTreeMap;
use std::path::Path;

use text::printable;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::kind::Kind;
use super::layers::Given;
use super::problem::ParamsError;
use super::removed::REMOVED;
use super::spec::{Givers, Parameter, TABLE};

/// Reads the text of the file; `path` is only named.
pub(super) fn parse(path: &Path, text: &str) -> Result<BTreeMap<String, Given>, ParamsError> {
    let file = File { path: printable(&path.to_string_lossy()), text };
    let table = DeTable::parse(text).map_err(|error| ParamsError::Syntax {
        path: file.path.clone(),
        line: file.line(error.span().map_or(0, |span| span.start)),
        // The message alone: error's Display repeats the line, and with it perhaps what is nobody's business.
        reason: printable(error.message()),
    })?;
    let mut values = BTreeMap::new();
    file.walk("", table.get_ref(), &mut values)?;
    Ok(values)
}

struct File<'a> {
    path: String,
    text: &'a str,
}

impl File<'_> {
    fn line(&self, offset: usize) -> usize {
        let before = self.text.bytes().take(offset);
        before.filter(|byte| *byte == b'\n').count().saturating_add(1)
    }

    fn walk(
        &self,
        prefix: &str,
        table: &DeTable<'_>,
        values: &mut BTreeMap<String, Given>,
    ) -> Result<(), ParamsError> {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            let line = self.line(key.span().start);
            match (find(&name), value.get_ref()) {
                (Some(row), found) => {
                    let text = text_of(row, found).ok_or_else(|| ParamsError::WrongType {
                        path: self.path.clone(),
                        line,
                        key: row.name,
                        found: found.type_str(),
                        wanted: wanted_type(row.kind),
                    })?;
                    let detail = format!("{}:{line}", self.path);
                    values.insert(name, Given { text, detail });
                }
                (None, DeValue::Table(inner)) if !inner.is_empty() => {
                    self.walk(&format!("{name}."), inner, values)?;
                }
                (None, _) => {
                    return Err(self.removed(&name, line).unwrap_or_else(|| self.unknown(&name, line)));
                }
            }
        }
        Ok(())
    }

    fn removed(&self, name: &str, line: usize) -> Option<ParamsError> {
        let removed = REMOVED.iter().find(|removed| removed.name == name)?;
        let origin = format!("{}:{line}", self.path);
        Some(ParamsError::Removed { name: removed.name, origin, instead: removed.instead })
    }

    fn unknown(&self, name: &str, line: usize) -> ParamsError {
        let wanted = match TABLE.iter().find(|row| row.name == name) {
            Some(row) if row.secret => "the name of a file, given as ironic.agent-token-file".to_owned(),
            Some(row) if row.givers == Givers::FlagAndEnvironment => {
                format!("it as the flag --{name} or in {}", row.environment_name())
            }
            Some(_) => "it in IPA's own configuration: here it is only read".to_owned(),
            None => "the name of a flag, as in `ironic.api-url = \"http://192.0.2.1:6385\"`".to_owned(),
        };
        ParamsError::UnknownKey { path: self.path.clone(), line, key: printable(name), wanted }
    }
}

fn find(name: &str) -> Option<&'static Parameter> {
    let in_file = |row: &&Parameter| matches!(row.givers, Givers::Own | Givers::OwnRunOnly);
    TABLE.iter().filter(in_file).find(|row| row.name == name)
}

/// The value as a flag would have it, where the type fits.
fn text_of(row: &Parameter, value: &DeValue<'_>) -> Option<String> {
    match (row.kind, value) {
        (Kind::Boolean(_), DeValue::Boolean(value)) => Some(value.to_string()),
        (Kind::Boolean(_), _) => None,
        (Kind::ApiUrls(_), DeValue::Array(items)) => {
            let texts: Option<Vec<&str>> = items.iter().map(Spanned::get_ref).map(DeValue::as_str).collect();
            Some(texts?.join(","))
        }
        (Kind::Port(_) | Kind::Duration(..) | Kind::Count(_), DeValue::Integer(number)) => {
            (number.radix() == 10).then(|| number.as_str().to_owned())
        }
        (Kind::Duration(..), DeValue::Float(number)) => Some(number.as_str().to_owned()),
        (Kind::Port(_) | Kind::Count(_), _) => None,
        (_, DeValue::String(text)) => Some(text.clone().into_owned()),
        _ => None,
    }
}

fn wanted_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Boolean(_) => "true or false, without quotes",
        Kind::Port(_) | Kind::Count(_) => "a whole number, without quotes",
        Kind::Duration(..) => "a number of seconds, or a string like \"5m\"",
        Kind::ApiUrls(_) => "a string, or an array of strings",
        _ => "a string",
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
