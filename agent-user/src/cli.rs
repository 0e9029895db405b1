//! The command line: commands, their flags, and what each does.

use std::ffi::OsString;
use std::io::{self, Write, stdin, stdout};

use callback_url::Context;
use clap::{Arg, ArgAction, ArgMatches, Command};
use thiserror::Error;

use crate::commands::{check_url, doctor, explain, params, status};
use crate::daemon::{self, DaemonError};
use crate::exits;
use crate::ipa;
use crate::logging;
use crate::params::{Loaded, LogFormat, ParamsError, flags, load, load_with_medium, mode_flag};
use crate::system;

/// EX_USAGE (sysexits.h): the daemon's own flags, environment or file are wrong.
const USAGE: u8 = 64;
/// EX_UNAVAILABLE: the daemon could not start, or there is none to ask.
const UNAVAILABLE: u8 = 69;
/// EX_SOFTWARE: a defect, standard output is gone, or the runtime could not be made.
const FAILED: u8 = 70;
/// Columns of the help: what a console has.
const HELP_WIDTH: usize = 80;

/// Why a command could not do its work.
#[derive(Debug, Error)]
enum CliError {
    #[error(transparent)]
    Parameters(#[from] ParamsError),
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    #[error(transparent)]
    Explain(#[from] explain::ExplainError),
    #[error(transparent)]
    Status(#[from] status::StatusError),
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl CliError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Parameters(_) => USAGE,
            Self::Daemon(DaemonError::TaskDied(_)) | Self::Io(_) => FAILED,
            Self::Daemon(_) | Self::Explain(_) | Self::Status(_) => UNAVAILABLE,
        }
    }
}

/// The whole command line.
pub fn command() -> Command {
    let json = || Arg::new("json").long("json").action(ArgAction::SetTrue).help("JSON on standard output");
    Command::new("ipa-sidecar")
        .version(concat!(env!("CARGO_PKG_VERSION"), " (", env!("BUILD_REVISION"), ")"))
        .about("Keeps the advertise address of an Ironic deploy ramdisk right")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(flags(mode_flag(
            Command::new("run").about("The daemon: watches, decides, and does what its mode says"),
        )))
        .subcommand(
            Command::new("status")
                .about("The state of the running daemon, for the console; exit 1 where it is not ready")
                .arg(
                    Arg::new("watch")
                        .long("watch")
                        .action(ArgAction::SetTrue)
                        .help("Again every second, until Ctrl-C"),
                )
                .arg(json()),
        )
        .subcommand(flags(
            Command::new("explain").about("Which address would be advertised, and why").arg(json()),
        ))
        .subcommand(flags(
            Command::new("check-url")
                .about("Judges callback URLs; exit 1 where one is bad")
                .arg(
                    Arg::new("url")
                        .value_name("URL")
                        .num_args(1..)
                        .required(true)
                        .help("`-` reads lines from standard input"),
                )
                .arg(
                    Arg::new("local")
                        .long("local")
                        .action(ArgAction::SetTrue)
                        .help("It must be a URL of this machine"),
                )
                .arg(
                    Arg::new("require-tls")
                        .long("require-tls")
                        .action(ArgAction::SetTrue)
                        .help("Ironic takes https only"),
                )
                .arg(json()),
        ))
        .subcommand(flags(
            Command::new("params").about("Every parameter, its value and where it came from").arg(json()),
        ))
        .subcommand(flags(mode_flag(
            Command::new("doctor").about("What works here, and what each missing piece costs").arg(json()),
        )))
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
    match matches.subcommand().map(|(name, matches)| dispatch(name, matches)) {
        Some(Ok(code)) => code,
        Some(Err(error)) => {
            // A reader that closed the pipe early has what it wanted.
            if matches!(&error, CliError::Io(io) if io.kind() == io::ErrorKind::BrokenPipe) {
                return 0;
            }
            let _ = writeln!(io::stderr(), "ipa-sidecar: {error}");
            error.exit_code()
        }
        None => USAGE,
    }
}

fn dispatch(name: &str, matches: &ArgMatches) -> Result<u8, CliError> {
    if name == "status" {
        // It has no parameters: whatever is wrong with those of the daemon, it can be asked.
        let ready = status::run(matches.get_flag("json"), matches.get_flag("watch"), &mut stdout().lock())?;
        return Ok(u8::from(!ready));
    }
    let image = ipa::image();
    let loaded = load(matches, &image)?;
    // The commands that answer one question log only what went wrong.
    let wanted = if name == "run" { loaded.parameters.log_level.as_str() } else { "warn" };
    logging::start(
        logging::filter(wanted).unwrap_or_default(),
        loaded.parameters.log_format == LogFormat::Json,
    );
    let json = matches.try_get_one::<bool>("json").ok().flatten().copied().unwrap_or(false);
    let mut out = stdout().lock();
    match name {
        "run" => {
            drop(out);
            end_on_panic();
            system::keep_memory_small();
            daemon::block_on(run_daemon(matches, loaded))?
        }
        "explain" => {
            tell_problems(&loaded);
            let decision = daemon::block_on(explain::decide_once(&loaded.parameters))??;
            explain::print(&decision, &loaded.place, json, &mut out)?;
            Ok(u8::from(decision.address.is_none()))
        }
        "check-url" => check(matches, &loaded, json, &mut out),
        "params" => Ok(params::run(&loaded, json, &mut out)?),
        _ => {
            let checks = daemon::block_on(doctor::examine(&loaded))??;
            let works = doctor::print(loaded.parameters.mode, &checks, json, &mut out)?;
            Ok(u8::from(!works))
        }
    }
}

/// A panic is a defect: the daemon ends and is started again, rather than going on without one of its parts. The same in a
/// build that cannot unwind.
fn end_on_panic() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        std::process::exit(i32::from(FAILED));
    }));
}

async fn run_daemon(matches: &ArgMatches, loaded: Loaded) -> Result<u8, CliError> {
    let loaded = match loaded.lacks_medium {
        true => {
            let image = loaded.image.clone();
            load_with_medium(matches, &image).await?
        }
        false => loaded,
    };
    daemon::run(loaded).await?;
    Ok(0)
}

fn check(matches: &ArgMatches, loaded: &Loaded, json: bool, out: &mut impl Write) -> Result<u8, CliError> {
    let local = match matches.get_flag("local") {
        true => Some(daemon::block_on(check_url::local(&loaded.parameters))??),
        false => None,
    };
    let context =
        Context { require_tls: matches.get_flag("require-tls"), must_be_routable: local.is_some(), local };
    let arguments = matches.get_many::<String>("url").unwrap_or_default().cloned();
    let urls = check_url::collect(arguments, stdin().lock())?;
    let all_good = check_url::print(&urls, &context, json, out)?;
    Ok(u8::from(!all_good))
}

fn tell_problems(loaded: &Loaded) {
    for problem in &loaded.problems {
        let _ = writeln!(io::stderr(), "{problem}");
    }
}
