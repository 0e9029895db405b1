//! The flags, made from the table.

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Command, parser::ValueSource, value_parser};

use super::kind::Kind;
use super::problem::ParamsError;
use super::removed::REMOVED;
use super::spec::{Givers, Parameter, TABLE};

/// The flag that turns `--vmedia` off.
const NO_VMEDIA: &str = "no-vmedia";

/// Adds every flag that all commands share: all but `--mode`.
pub fn flags(command: Command) -> Command {
    let shared = TABLE.iter().filter(|row| matches!(row.givers, Givers::Own | Givers::FlagAndEnvironment));
    let removed = REMOVED.iter().map(|removed| {
        Arg::new(removed.name)
            .long(removed.name)
            .hide(true)
            .num_args(0..=1)
            .value_parser(value_parser!(OsString))
    });
    command.args(shared.map(flag)).args(removed).arg(
        Arg::new(NO_VMEDIA)
            .long(NO_VMEDIA)
            .action(ArgAction::SetTrue)
            .overrides_with("vmedia")
            .help("Never read virtual media")
            .help_heading("Where parameters come from"),
    )
}

/// Adds `--mode`, which `run` alone has.
pub fn mode_flag(command: Command) -> Command {
    let run_only = TABLE.iter().filter(|row| row.givers == Givers::OwnRunOnly);
    command.args(run_only.map(flag))
}

/// Values are taken as text as they are: reading and complaining is the same for every layer.
fn flag(row: &'static Parameter) -> Arg {
    let help = match (row.default, row.kind) {
        (Some(default), kind) if !matches!(kind, Kind::Boolean(_)) => {
            format!("{} [default: {default}]", row.help)
        }
        _ => row.help.to_owned(),
    };
    let arg = Arg::new(row.name)
        .long(row.name)
        .env(row.environment_name())
        .hide_env_values(true)
        .help(help)
        .help_heading(row.heading)
        .value_name(row.value_name)
        .value_parser(value_parser!(OsString));
    if matches!(row.kind, Kind::Boolean(_)) {
        return arg
            .value_name("true|false")
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true");
    }
    arg
}

/// The value of a flag that was really given (not taken from the environment).
pub(super) fn given(matches: &ArgMatches, row: &Parameter) -> Option<OsString> {
    if row.name == "vmedia" && on_command_line(matches, NO_VMEDIA) {
        return Some("false".into());
    }
    if !on_command_line(matches, row.name) {
        return None;
    }
    let mut values = matches.try_get_raw(row.name).ok().flatten()?;
    values.next_back().map(OsString::from)
}

/// Refuses what is gone.
///
/// # Errors
/// Where a removed parameter is given as a flag.
pub(super) fn refuse_removed(matches: &ArgMatches) -> Result<(), ParamsError> {
    match REMOVED.iter().find(|removed| on_command_line(matches, removed.name)) {
        Some(removed) => Err(ParamsError::Removed {
            name: removed.name,
            origin: format!("--{}", removed.name),
            instead: removed.instead,
        }),
        None => Ok(()),
    }
}

/// Whether the command has this flag, and it was given. A command without it is asked first: clap panics otherwise.
fn on_command_line(matches: &ArgMatches, id: &str) -> bool {
    matches.try_contains_id(id).unwrap_or(false) && matches.value_source(id) == Some(ValueSource::CommandLine)
}
