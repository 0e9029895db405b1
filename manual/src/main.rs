//! Writes man pages and completions into a directory: `manual DIRECTORY`. `cargo xtask dist` calls it.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(directory) = std::env::args_os().nth(1) else {
        eprintln!("manual: wanted: the directory to write into");
        return ExitCode::from(64);
    };
    match manual::write(Path::new(&directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("manual: {}: {error}", Path::new(&directory).display());
            ExitCode::FAILURE
        }
    }
}
