//! The log: its filter, and how its lines look.

use std::io;

use text::labels;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

labels! {
    /// How log lines look.
    pub enum LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

/// Whose lines a filter can name.
#[derive(Debug, Clone, Copy)]
pub struct Logged {
    /// The program's crate, as the log shows it in front of its modules.
    pub ours: &'static str,
    /// The modules of that crate that log.
    pub modules: &'static [&'static str],
    /// The crates beside it that log.
    pub crates: &'static [&'static str],
    /// The module that an example of a filter names.
    pub example: &'static str,
}

impl Logged {
    /// Reads a filter: a level, or a list of levels, of `module=level`, and of modules whose every line is wanted. A module is
    /// named as the log shows it, with its crate or, where it is one of this crate, without. Where no level stands alone it is
    /// `info`: a filter for one module must not silence the others.
    ///
    /// # Errors
    /// What would be right.
    pub fn filter(&self, text: &str) -> Result<Targets, String> {
        let directives = text.split(',').map(|directive| {
            let directive = directive.trim();
            match directive.split_once('=') {
                Some((module, level)) => Ok((Some(self.target(module)?), self.level(level)?)),
                None if self.is_known(directive) => Ok((Some(self.target(directive)?), LevelFilter::TRACE)),
                None => Ok((None, self.level(directive)?)),
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

    fn level(&self, word: &str) -> Result<LevelFilter, String> {
        let level = word.parse().ok().filter(|_| !word.bytes().all(|byte| byte.is_ascii_digit()));
        level.ok_or_else(|| {
            let example = self.example;
            format!("off, error, warn, info, debug, trace, or a filter by module like info,{example}=debug")
        })
    }

    fn is_known(&self, module: &str) -> bool {
        let first = module.split("::").next().unwrap_or_default();
        self.modules.contains(&first) || self.crates.contains(&first) || module.contains("::")
    }

    fn target(&self, module: &str) -> Result<String, String> {
        let first = module.split("::").next().unwrap_or_default();
        if self.modules.contains(&first) {
            return Ok(format!("{}::{module}", self.ours));
        }
        self.is_known(module).then(|| module.to_owned()).ok_or_else(|| {
            format!(
                "a filter like info,{}=debug, with the modules {}, {}",
                self.example,
                self.modules.join(", "),
                self.crates.join(", ")
            )
        })
    }
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
