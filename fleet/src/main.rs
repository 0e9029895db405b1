//! The `ipa-fleet` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(ipa_fleet::run(std::env::args_os()))
}
