//! The `ipa-sidecar` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(agent_user::cli::run(std::env::args_os()))
}
