//! What the BPF programs log arrives in tracing. aya-log speaks the `log` crate's language.

use log::{Level, Log, Metadata, Record};

/// A logger that hands everything on.
#[derive(Debug, Clone, Copy)]
pub struct ToTracing;

impl Log for ToTracing {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let (program, message) = (record.target(), record.args());
        match record.level() {
            Level::Error => tracing::error!(program, "BPF: {message}"),
            Level::Warn => tracing::warn!(program, "BPF: {message}"),
            Level::Info => tracing::info!(program, "BPF: {message}"),
            Level::Debug => tracing::debug!(program, "BPF: {message}"),
            Level::Trace => tracing::trace!(program, "BPF: {message}"),
        }
    }

    fn flush(&self) {}
}
