//! What of this program a filter of the log can name.

use settings::Logged;
pub use settings::start_log as start;
use tracing_subscriber::filter::Targets;

/// This crate, as the log shows it in front of its modules.
const OURS: &str = env!("CARGO_CRATE_NAME");
/// The modules of this crate that log.
const MODULES: [&str; 5] = ["api", "check", "cloud", "poll", "run"];
/// The crates beside it that log.
const CRATES: [&str; 1] = ["exporter"];

/// Reads a filter; see [`Logged::filter`].
///
/// # Errors
/// What would be right.
pub fn filter(text: &str) -> Result<Targets, String> {
    Logged { ours: OURS, modules: &MODULES, crates: &CRATES, example: "poll" }.filter(text)
}
