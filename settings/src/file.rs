//! A daemon's own configuration file: TOML whose dotted keys are the names of the flags.

use std::path::Path;

use text::printable;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::SettingError;

/// How a value may stand in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// true or false.
    Boolean,
    /// A whole number.
    Number,
    /// A number of seconds, or a string.
    Duration,
    /// A string, or an array of strings.
    List,
    /// A string.
    Text,
}

/// A value as a flag would have it, and where it stands.
pub struct Given {
    /// The parameter.
    pub name: &'static str,
    /// The text. No `Debug`: it may be a secret.
    pub text: String,
    /// File and line.
    pub detail: String,
}

/// What the file may hold.
pub trait Keys {
    /// The error of the program.
    type Error: From<SettingError>;

    /// The parameter of this name, where the file may give it.
    fn find(&self, name: &str) -> Option<(&'static str, Form)>;

    /// What to say of another name. The place is file and line.
    fn unknown(&self, name: &str, path: &str, line: usize) -> Self::Error;
}

/// Reads the text of the file; `path` is only named.
///
/// # Errors
/// The first thing in it that cannot be used.
pub fn read<K: Keys>(path: &Path, text: &str, keys: &K) -> Result<Vec<Given>, K::Error> {
    let file = File { path: printable(&path.to_string_lossy()), text, keys };
    let table = DeTable::parse(text).map_err(|error| SettingError::Syntax {
        path: file.path.clone(),
        line: file.line(error.span().map_or(0, |span| span.start)),
        // The message alone: error's Display repeats the line, and with it perhaps what is nobody's business.
        reason: printable(error.message()),
    })?;
    let mut values = Vec::new();
    file.walk("", table.get_ref(), &mut values)?;
    Ok(values)
}

struct File<'a, K> {
    path: String,
    text: &'a str,
    keys: &'a K,
}

impl<K: Keys> File<'_, K> {
    fn line(&self, offset: usize) -> usize {
        let before = self.text.bytes().take(offset);
        before.filter(|byte| *byte == b'\n').count().saturating_add(1)
    }

    fn walk(&self, prefix: &str, table: &DeTable<'_>, values: &mut Vec<Given>) -> Result<(), K::Error> {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            let line = self.line(key.span().start);
            match (self.keys.find(&name), value.get_ref()) {
                (Some((name, form)), found) => {
                    let text = form.text(found).ok_or_else(|| SettingError::WrongType {
                        path: self.path.clone(),
                        line,
                        key: name,
                        found: found.type_str(),
                        wanted: form.wanted(),
                    })?;
                    values.push(Given { name, text, detail: format!("{}:{line}", self.path) });
                }
                (None, DeValue::Table(inner)) if !inner.is_empty() => {
                    self.walk(&format!("{name}."), inner, values)?;
                }
                (None, _) => return Err(self.keys.unknown(&name, &self.path, line)),
            }
        }
        Ok(())
    }
}

impl Form {
    /// The value as a flag would have it, where the type fits.
    fn text(self, value: &DeValue<'_>) -> Option<String> {
        match (self, value) {
            (Self::Boolean, DeValue::Boolean(value)) => Some(value.to_string()),
            (Self::List, DeValue::Array(items)) => {
                let texts: Option<Vec<&str>> =
                    items.iter().map(Spanned::get_ref).map(DeValue::as_str).collect();
                Some(texts?.join(","))
            }
            (Self::Number | Self::Duration, DeValue::Integer(number)) => {
                (number.radix() == 10).then(|| number.as_str().to_owned())
            }
            (Self::Duration, DeValue::Float(number)) => Some(number.as_str().to_owned()),
            (Self::Boolean | Self::Number, _) => None,
            (_, DeValue::String(text)) => Some(text.clone().into_owned()),
            _ => None,
        }
    }

    fn wanted(self) -> &'static str {
        match self {
            Self::Boolean => "true or false, without quotes",
            Self::Number => "a whole number, without quotes",
            Self::Duration => "a number of seconds, or a string like \"5m\"",
            Self::List => "a string, or an array of strings",
            Self::Text => "a string",
        }
    }
}
