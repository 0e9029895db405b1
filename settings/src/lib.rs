//! What every daemon here does with its parameters: reads their values, reads its own configuration file, starts its log.

pub mod file;
mod log;
pub mod value;

pub use log::{Logged, start as start_log};
