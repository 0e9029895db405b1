//! The command line: commands, their flags, and what each does.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write, stdout};
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use settings::value;
use text::printable;
use thiserror::Error;

use crate::check::{self, CheckError, Form};
use crate::exits;
use crate::explain_log::{self, LogError};
use crate::logging;
use crate::params::{LogFormat, ParamsError, Use, flags, load, unknown_variables};
use crate::poll::Wish;
use crate::run::{self, RunError};
use crate::show::Colours;

/// EX_USAGE (sysexits.h): flags, environment or file are wrong.
const USAGE: u8 = 64;
/// EX_UNAVAILABLE: `run` could not start.
const UNAVAILABLE: u8 = 69;
/// EX_SOFTWARE: standard output is gone, or the runtime could not be made.
const FAILED: u8 = 70;
/// What was to be looked at cannot be read.
const BLIND: u8 = 2;
/// Columns of the help: what a console has.
const HELP_WIDTH: usize = 80;

/// Why a command could not do its work.
#[derive(Debug, Error)]
enum CliError {
    #[error(transparent)]
    Parameters(#[from] ParamsError),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Unreadable(LogError),
    #[error("{0}")]
    Unavailable(RunError),
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl From<RunError> for CliError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Usage(problem) => Self::Usage(problem),
            other => Self::Unavailable(other),
        }
    }
}

impl From<CheckError> for CliError {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Io(error) => Self::Io(error),
            CheckError::Usage(problem) => Self::Usage(problem),
        }
    }
}

impl From<LogError> for CliError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Write(error) => Self::Io(error),
            unreadable => Self::Unreadable(unreadable),
        }
    }
}

/// The whole command line.
pub fn command() -> Command {
    let json = || Arg::new("json").long("json").action(ArgAction::SetTrue).help("JSON on standard output");
    Command::new("ipa-fleet")
        .version(env!("CARGO_PKG_VERSION"))
        .about("The callback URLs and failures of all nodes of an Ironic")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(flags(
            Command::new("check")
                .about("Judges every agent URL and explains failures; exit 1 where one is bad, 2 where it is blind")
                .arg(json())
                .arg(
                    Arg::new("all").long("all").action(ArgAction::SetTrue).help("Nodes without a remark too"),
                )
                .arg(Arg::new("node").long("node").value_name("NAME|UUID").help("This node only"))
                .arg(
                    Arg::new("since")
                        .long("since")
                        .value_name("DURATION")
                        .default_value("24h")
                        .help("Failures of so long ago count"),
                ),
            Use::Look,
        ))
        .subcommand(flags(
            Command::new("run").about("Polls, judges and serves: metrics, pages, targets for Prometheus"),
            Use::Serve,
        ))
        .subcommand(
            Command::new("explain-log")
                .about("Which nodes failed by their agent URL, out of a conductor's log; exit 1 where one did, 2 where it cannot be read")
                .arg(
                    Arg::new("file")
                        .value_name("FILE")
                        .default_value("-")
                        .help("The log: text, or JSON of journald; `-` is standard input"),
                ),
        )
        .mut_subcommands(|command| {
            let text = exits::section(command.get_name());
            command.after_help(text)
        })
        .after_help(exits::EVERY)
        // Also where it goes to a pager, and in a wide terminal.
        .max_term_width(HELP_WIDTH)
}

/// Runs the command line; gives the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { USAGE } else { 0 };
        }
    };
    let Some((name, matches)) = matches.subcommand() else { return USAGE };
    match dispatch(name, matches) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(io::stderr(), "ipa-fleet: {error}");
            match error {
                CliError::Parameters(_) | CliError::Usage(_) => USAGE,
                CliError::Unreadable(_) => BLIND,
                CliError::Unavailable(_) => UNAVAILABLE,
                CliError::Io(_) => FAILED,
            }
        }
    }
}

fn dispatch(name: &str, matches: &ArgMatches) -> Result<u8, CliError> {
    let colours = Colours::of(stdout().is_terminal());
    let mut out = io::BufWriter::new(stdout().lock());
    if name == "explain-log" {
        let path = matches.get_one::<String>("file").map_or("-", String::as_str);
        return Ok(explain_log::run(path, colours, &mut out)?);
    }
    let environment = environment();
    let unknown = unknown_variables(&environment);
    let parameters = load(matches, &environment).inspect_err(|_| {
        for sentence in &unknown {
            let _ = writeln!(io::stderr(), "ipa-fleet: {sentence}");
        }
    })?;
    let filter = logging::filter(&parameters.log_level).unwrap_or_default();
    logging::start(filter, parameters.log_format == LogFormat::Json);
    for sentence in &unknown {
        tracing::warn!("{sentence}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if name == "run" {
        runtime.block_on(run::run(&parameters))?;
        return Ok(0);
    }
    let wish = Wish {
        since: since(matches)?,
        node: matches.get_one::<String>("node").cloned(),
        all: matches.get_flag("all"),
        fast_track: parameters.fast_track,
    };
    let form = Form { json: matches.get_flag("json"), colours };
    Ok(runtime.block_on(check::run(&parameters, &wish, form, &mut out))?)
}

/// The variables whose names are text; others are nobody's parameters.
fn environment() -> BTreeMap<String, OsString> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect()
}

fn since(matches: &ArgMatches) -> Result<Duration, CliError> {
    let text = matches.get_one::<String>("since").map_or("24h", String::as_str);
    value::duration(text, Duration::from_secs(1), false).map_err(|wanted| {
        CliError::Usage(format!("--since: \"{}\" is not usable: wanted {wanted}", printable(text)))
    })
}
