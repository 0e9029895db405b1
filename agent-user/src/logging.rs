//! What of this daemon a filter of the log can name.

use settings::Logged;
pub use settings::start_log as start;
use tracing_subscriber::filter::Targets;

/// This crate, as the log shows it in front of its modules.
const OURS: &str = env!("CARGO_CRATE_NAME");
/// The modules of this crate that log.
const MODULES: [&str; 11] =
    ["agent", "daemon", "exchange", "guard", "ipa", "ironic", "notify", "pin", "probes", "watch", "web"];
/// The crates beside it that log.
const CRATES: [&str; 2] = ["exporter", "fib"];

/// Reads a filter; see [`Logged::filter`].
///
/// # Errors
/// What would be right.
pub fn filter(text: &str) -> Result<Targets, String> {
    Logged { ours: OURS, modules: &MODULES, crates: &CRATES, example: "guard" }.filter(text)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn modules_are_named_as_the_log_shows_them() {
        let filter = filter("info,guard=debug,watch::names=trace,fib=off").unwrap();
        for (target, level, passes) in [
            ("guard::heartbeat", Level::DEBUG, true),
            ("agent", Level::DEBUG, false),
            ("agent", Level::INFO, true),
            ("watch::names", Level::TRACE, true),
            ("watch", Level::DEBUG, false),
        ] {
            assert_eq!(filter.would_enable(&format!("{OURS}::{target}"), &level), passes, "{target}");
        }
        assert!(!filter.would_enable("fib::monitor", &Level::ERROR));
        let whole = self::filter("guard").unwrap();
        assert!(whole.would_enable(&format!("{OURS}::guard"), &Level::TRACE));
        assert!(whole.would_enable(&format!("{OURS}::agent"), &Level::INFO));
        assert!(!whole.would_enable(&format!("{OURS}::agent"), &Level::DEBUG));
        let shown = self::filter(&format!("warn,{OURS}::guard=debug")).unwrap();
        assert!(shown.would_enable(&format!("{OURS}::guard"), &Level::DEBUG));
    }

    #[test]
    fn a_wrong_filter_is_refused_with_what_would_be_right() {
        for (text, wanted) in [
            ("", "info,guard=debug"),
            ("inof", "off, error"),
            ("3", "off, error"),
            ("a=b=c", "guard, ipa"),
            ("info,guard=loud", "off, error"),
            ("info,gard=debug", "guard, ipa"),
        ] {
            let error = filter(text).unwrap_err();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }

    #[test]
    fn the_modules_are_those_of_the_crate() {
        for module in MODULES {
            let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(module);
            assert!(source.is_dir() || source.with_extension("rs").exists(), "{module}");
        }
    }
}
