//! What every daemon here does with its parameters: reads their values, reads its own configuration file, starts its log.

pub mod file;
mod log;
mod problem;
pub mod value;

pub use log::{LogFormat, Logged, start as start_log};
pub use problem::{SettingError, similar};
