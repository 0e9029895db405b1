//! The `ipa-sidecar` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(ipa_sidecar::run(std::env::args_os()))
}
