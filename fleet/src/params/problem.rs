//! What is wrong with the parameters. The caller ends with status 64.

use settings::SettingError;
use thiserror::Error;

/// Something wrong in flags, environment or configuration file.
#[derive(Debug, Error)]
pub enum ParamsError {
    /// One of them.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// Two do not go together, or one is missing.
    #[error("{0}")]
    Together(String),
}
