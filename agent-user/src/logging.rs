//! The log: its filter, and how its lines look.

use std::io;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

/// This crate, as the log shows it in front of its modules.
const OURS: &str = env!("CARGO_CRATE_NAME");
/// The modules of this crate that log.
const MODULES: [&str; 11] =
    ["agent", "daemon", "exchange", "guard", "ipa", "ironic", "notify", "pin", "probes", "watch", "web"];
/// The crates beside it that log.
const CRATES: [&str; 2] = ["exporter", "fib"];

/// Reads a filter: a level, or a list of levels, of `module=level`, and of modules whose every line is wanted. A module is
/// named as the log shows it, with its crate or, where it is one of this crate, without. Where no level stands alone it is
/// `info`: a filter for one module must not silence the others.
///
/// # Errors
/// What would be right.
pub fn filter(text: &str) -> Result<Targets, String> {
    let directives = text.split(',').map(|directive| {
        let directive = directive.trim();
        match directive.split_once('=') {
            Some((module, level)) => Ok((Some(target(module)?), self::level(level)?)),
            None if is_known(directive) => Ok((Some(target(directive)?), LevelFilter::TRACE)),
            None => Ok((None, level(directive)?)),
        }
    });
    directives.collect::<Result<Vec<_>, String>>().map(|directives| {
        directives.into_iter().fold(
            Targets::new().with_default(LevelFilter::INFO),
            |targets, (target, level)| match target {
                Some(target) => targets.with_target(target, level),
                None => targets.with_default(level),
            },
        )
    })
}

fn level(word: &str) -> Result<LevelFilter, String> {
    let level = word.parse().ok().filter(|_| !word.bytes().all(|byte| byte.is_ascii_digit()));
    level.ok_or_else(|| {
        "off, error, warn, info, debug, trace, or a filter by module like info,guard=debug".to_owned()
    })
}

fn is_known(module: &str) -> bool {
    let first = module.split("::").next().unwrap_or_default();
    MODULES.contains(&first) || CRATES.contains(&first) || module.contains("::")
}

fn target(module: &str) -> Result<String, String> {
    let first = module.split("::").next().unwrap_or_default();
    if MODULES.contains(&first) {
        return Ok(format!("{OURS}::{module}"));
    }
    is_known(module).then(|| module.to_owned()).ok_or_else(|| {
        format!(
            "a filter like info,guard=debug, with the modules {}, {}",
            MODULES.join(", "),
            CRATES.join(", ")
        )
    })
}

/// Starts the log on standard error: JSON, or text for people. Lines show their module in JSON, and in text where the
/// filter lets debug lines through.
pub fn start(filter: Targets, json: bool) {
    let modules = json || filter.iter().any(|(_, level)| level >= LevelFilter::DEBUG);
    let modules = modules || filter.default_level().is_some_and(|level| level >= LevelFilter::DEBUG);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        // Its text about a log that cannot be written goes to stderr too, and panics where that is the trouble.
        .log_internal_errors(false)
        .with_target(modules);
    let log = tracing_subscriber::registry().with(filter);
    // Fails only where a log is there already, as in tests.
    let _ = if json {
        log.with(lines.json().flatten_event(true)).try_init()
    } else {
        log.with(lines.with_ansi(io::IsTerminal::is_terminal(&io::stderr()))).try_init()
    };
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
