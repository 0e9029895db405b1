//! From the words on the command line to the exit status.

use std::process::ExitCode;

use clap::Parser;

use crate::{Missing, workspace};

/// What stands at the end of every help.
pub const AFTER_HELP: &str = "\
What is downloaded (Ironic, ironic-python-agent, Linux, cargo-deny, cargo-fuzz, the BPF compiler and linker) is kept in \
$IPA_SIDECAR_CACHE, else $XDG_CACHE_HOME/ipa-sidecar, else ~/.cache/ipa-sidecar.

Exit status: 0 done, 1 something failed, 64 wrong usage, 69 something needed is missing here.";

/// Reads the words, goes to the root of the checkout and runs the command.
pub fn run<C: Parser>(dispatch: impl FnOnce(C) -> anyhow::Result<()>) -> ExitCode {
    let mut words: Vec<_> = std::env::args_os().collect();
    if words.len() < 2 {
        words.push("--help".into());
    }
    let command = match C::try_parse_from(words) {
        Ok(command) => command,
        Err(answer) => {
            let _ = answer.print();
            return if answer.use_stderr() { ExitCode::from(64) } else { ExitCode::SUCCESS };
        }
    };
    let there = std::env::set_current_dir(workspace::root()).map_err(anyhow::Error::from);
    let Err(error) = there.and_then(|()| dispatch(command)) else {
        return ExitCode::SUCCESS;
    };
    eprintln!("\n{}: {error:#}", C::command().get_name());
    if error.is::<Missing>() { ExitCode::from(69) } else { ExitCode::FAILURE }
}
