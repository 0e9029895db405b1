//! What is wrong with a parameter that the operator gave: the daemon says it and ends with status 64.

use thiserror::Error;

/// Something wrong in flags, environment or configuration file.
#[derive(Debug, Error)]
pub enum SettingError {
    /// The value cannot be used.
    #[error("{name}: \"{value}\" from {origin} is not usable: wanted {wanted}")]
    Unusable {
        /// The parameter.
        name: &'static str,
        /// Its value, printable and cut.
        value: String,
        /// Flag, variable, or file and line.
        origin: String,
        /// What would be right.
        wanted: String,
    },
    /// A file that they name cannot be read.
    #[error("{name}: the file {path} (named by {origin}) cannot be read: {reason}")]
    Unreadable {
        /// The parameter.
        name: &'static str,
        /// The file.
        path: String,
        /// Flag, variable, or file and line.
        origin: String,
        /// What the system said.
        reason: String,
    },
    /// The configuration file is no TOML.
    #[error("{path}:{line}: no valid TOML: {reason}")]
    Syntax {
        /// The file.
        path: String,
        /// Counted from 1.
        line: usize,
        /// What the parser said.
        reason: String,
    },
    /// The configuration file has a key that is no parameter.
    #[error("{path}:{line}: unknown parameter \"{key}\": wanted {wanted}")]
    UnknownKey {
        /// The file.
        path: String,
        /// Counted from 1.
        line: usize,
        /// The key, printable and cut.
        key: String,
        /// What would be right.
        wanted: String,
    },
    /// A value in the configuration file has the wrong type.
    #[error("{path}:{line}: {key} has the wrong type ({found}): wanted {wanted}")]
    WrongType {
        /// The file.
        path: String,
        /// Counted from 1.
        line: usize,
        /// The parameter.
        key: &'static str,
        /// The type that stands there.
        found: &'static str,
        /// The type that would be right.
        wanted: &'static str,
    },
}

/// What may be meant by an unknown variable: of all names the one with the most words in common.
pub fn similar(variable: &str, prefix: &str, names: impl Iterator<Item = String>) -> Option<String> {
    let words = |name: &str| {
        let rest = name.strip_prefix(prefix).unwrap_or_default();
        rest.split('_').map(str::to_owned).collect::<Vec<_>>()
    };
    let wanted = words(variable);
    let common = |name: &str| words(name).iter().filter(|word| wanted.contains(word)).count();
    let meant = names.max_by_key(|name| common(name)).filter(|name| common(name) > 1);
    meant.map(|name| format!("is {name} meant?"))
}
