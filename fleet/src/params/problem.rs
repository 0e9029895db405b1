//! What is wrong with a parameter. The caller ends with status 64.

use settings::file::FileError;
use thiserror::Error;

/// Something wrong in flags, environment or configuration file.
#[derive(Debug, Error)]
pub enum ParamsError {
    /// The value is no use.
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
    /// A file that is named cannot be read.
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
    /// A variable has our prefix and is no parameter's.
    #[error("{name} is no variable of ipa-fleet: `ipa-fleet check --help` lists them")]
    UnknownVariable {
        /// Its name, printable and cut.
        name: String,
    },
    /// The configuration file is no use.
    #[error(transparent)]
    File(#[from] FileError),
    /// Two parameters do not go together, or one is missing.
    #[error("{0}")]
    Together(String),
}
