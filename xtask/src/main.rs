//! Development commands: `cargo xtask COMMAND`.
#![allow(clippy::disallowed_methods)] // Running other programs is what this one is for.

mod budget;
mod ci;
mod deny;
mod docs;
mod faults;
mod fuzz;
mod imports;
mod lab;
mod promises;
mod prose;
mod references;
mod release;
mod stages;
mod test;
mod version;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::dist::image;
use xtask::{build, command_line, dist};

/// Build, test, check and release ipa-sidecar
#[derive(Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", after_help = command_line::AFTER_HELP)]
#[command(
    override_usage = "cargo xtask COMMAND; soak, bench, ramdisk and the like are commands of cargo lab"
)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show what ipa-sidecar does, end to end in network namespaces; --once ends by itself
    #[command(disable_help_flag = true)]
    Demo {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FLAGS")]
        flags: Vec<OsString>,
    },
    /// Install what the tests need, then run every test of the workspace (as root: all of them)
    Test {
        /// A part of the name of tests or of a program in agent-user/tests, like guard
        filter: Option<String>,
    },
    /// Build the release binary with the eBPF probes, target/release/ipa-sidecar
    ///
    /// What compiles the BPF programs is found (IPA_SIDECAR_BPF_TOOLCHAIN, a nightly with rust-src) or fetched (Debian).
    Build,
    /// Build the static binaries, the archives and the packages (.deb, .rpm) into dist
    Dist(dist::Flags),
    /// Build the image of ipa-fleet for both architectures, an OCI layout, into dist
    Image(image::Flags),
    /// Check version, changelog and tag, then put the release of both architectures and checksums into dist/release
    Release(release::ReleaseFlags),
    /// Check formatting, lints, documentation, licences, imports, dashboards and promises, and run every test
    Ci,
    /// Write docs/metrics.md anew from the metrics, and the alert rules for Kubernetes from dashboards/alerts.yml
    Docs,
    /// Run every fuzz target and print how many inputs each has tried
    Fuzz {
        /// Seconds for each target
        #[arg(default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
        seconds: u64,
    },
    /// Measure what every reader of foreign bytes costs at most, and fail above the limits of docs/promises.md
    Budget,
    /// Run the tests of the fault matrix (docs/faults.md) and print it with what was seen
    Faults,
    /// Check that docs/promises.md and docs/faults.md are true to the code
    Promises,
    /// Check that README and docs are plain English and name only what exists, and print how long their sentences are
    Prose,
    /// Print which module of each package imports which, and fail where they import each other in a circle
    Imports,
}

fn main() -> ExitCode {
    command_line::run(|CommandLine { command }| match command {
        Command::Demo { flags } => lab::become_command("demo", &flags),
        Command::Test { filter } => test::run(filter.as_deref()),
        Command::Build => build::run(),
        Command::Dist(flags) => dist::run(&flags),
        Command::Image(flags) => image::run(&flags),
        Command::Release(flags) => release::run(&flags),
        Command::Ci => ci::run(),
        Command::Docs => docs::run(),
        Command::Fuzz { seconds } => fuzz::run(seconds),
        Command::Budget => budget::run().map(drop),
        Command::Faults => faults::run(),
        Command::Promises => promises::run().map(|found| println!("{found}")),
        Command::Prose => prose::run().map(|found| println!("{found}")),
        Command::Imports => imports::run().map(|found| println!("{found}")),
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    #[test]
    fn the_demo_gets_its_flags_and_a_command_of_the_lab_is_named() {
        CommandLine::command().debug_assert();
        let parsed = CommandLine::try_parse_from(["xtask", "demo", "--once", "--help"]).ok().unwrap();
        assert!(matches!(parsed.command, Command::Demo { flags } if flags == ["--once", "--help"]));
        let error = CommandLine::try_parse_from(["xtask", "soak"]).err().unwrap();
        assert!(
            error.kind() == ErrorKind::InvalidSubcommand && error.to_string().contains("cargo lab"),
            "{error}"
        );
        for words in [["fuzz", "0"], ["test", "--bogus"], ["dist", "--target"], ["ci", "extra"]] {
            assert!(CommandLine::try_parse_from(["xtask"].iter().chain(&words)).is_err(), "{words:?}");
        }
    }
}
