//! Demo, measurements and boots: `cargo lab COMMAND`.
#![allow(clippy::disallowed_methods)] // Running other programs is what this one is for.

mod aarch64;
mod agent;
mod bench;
mod dashboards;
mod demo;
mod fleet;
mod image;
mod ironic;
mod kubernetes;
mod owned;
mod packages;
mod pages;
mod passed_by;
mod programs;
mod ramdisk;
mod routes;
mod soak;
mod usage;
mod versions;
mod versus;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::command_line;

/// Show, measure and boot ipa-sidecar
#[derive(Parser)]
#[command(name = "lab", bin_name = "cargo lab", after_help = command_line::AFTER_HELP)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show what ipa-sidecar does, end to end in network namespaces
    Demo {
        /// End by itself; without it the last daemon runs until Ctrl-C
        #[arg(long)]
        once: bool,
    },
    /// Let daemons run while addresses flap, routes burst and Ironic restarts
    ///
    /// Memory, threads and descriptors must stay flat, and the decision right.
    Soak {
        /// How long
        #[arg(default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
        minutes: u64,
    },
    /// Measure speed and cost beside what there would be instead, and write docs/benchmarks.md
    Bench(bench::Flags),
    /// Boot the release in a virtual machine against a real Ironic: a busybox initramfs, or what a flag says
    Ramdisk(ramdisk::Flags),
    /// Check dashboards/, then run daemons in every kind of trouble under a real Prometheus
    ///
    /// Each panel, variable and alert must show what it should.
    Dashboards(dashboards::Flags),
    /// Run a real Ironic with one node in the foreground, until Ctrl-C
    Ironic(ironic::Flags),
    /// Put a real IPA through trouble, bare and with the daemon beside; it must end no worse
    Versus(versus::Flags),
    /// Run real IPAs and real Ironics of many versions, with the daemon in modes configure and guard
    Versions(versions::Flags),
    /// Keep nodes on which all is well, and demand that none is ever called passed by
    PassedBy {
        /// How long
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
        minutes: u64,
    },
    /// Fill a real Ironic with thousands of nodes, and measure `ipa-fleet` beside a listing of all details
    Fleet(fleet::Flags),
    /// Install, upgrade and remove the packages (.deb, .rpm) in a fresh Debian root
    Packages,
    /// Build the release for 64-bit Arm, run its commands in an emulator, and boot it there against a real Ironic
    Aarch64,
    /// Build the image of `ipa-fleet`, read it with other tools, and run it as its user against a real Ironic
    Image,
    /// Check deploy/kubernetes against the schemas of Kubernetes and of the Prometheus operator
    Kubernetes,
    /// Measure one kind of work, for `bench` in a guest
    #[command(hide = true)]
    Work { work: bench::work::Work },
    /// Draw the page in a browser, in every state: target/pages and docs/img
    Pages,
}

fn main() -> ExitCode {
    command_line::run(|CommandLine { command }| match command {
        Command::Demo { once } => demo::run(once),
        Command::Soak { minutes } => soak::run(minutes),
        Command::Bench(flags) => bench::run(&flags),
        Command::Ramdisk(flags) => ramdisk::run(&flags),
        Command::Dashboards(flags) => dashboards::run(&flags),
        Command::Ironic(flags) => ironic::run(&flags),
        Command::Versus(flags) => versus::run(&flags),
        Command::Versions(flags) => versions::run(&flags),
        Command::PassedBy { minutes } => passed_by::run(minutes),
        Command::Fleet(flags) => fleet::run(&flags),
        Command::Packages => packages::run(),
        Command::Aarch64 => aarch64::run(),
        Command::Image => image::run(),
        Command::Kubernetes => kubernetes::run(),
        Command::Work { work } => bench::work::print(work),
        Command::Pages => pages::run(),
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn flags_are_read_and_wrong_ones_refused() {
        CommandLine::command().debug_assert();
        let parse = |words: &str| CommandLine::try_parse_from(["lab"].into_iter().chain(words.split(' ')));
        for words in [
            "demo --once",
            "soak",
            "soak 1",
            "bench --quick question storm",
            "dashboards --keep",
            "fleet --nodes 200",
            "pages",
            "passed-by --minutes 1",
            "versus --fixed",
            "versions --pair 13.0.0 39.0.0 --pair 6.6.0 21.4.4",
            "versions --fixed",
        ] {
            assert!(parse(words).is_ok(), "{words}");
        }
        for words in [
            "soak 0",
            "soak 1 2",
            "bench nothing",
            "bench --slow",
            "ramdisk --ipa --dib",
            "dashboards --keep --pictures",
            "ironic --bind host",
            "ironic --port 65536",
            "ironic --port",
            "ironic --fast-track=yes",
            "ironic --no-require-tls=1",
            "ironic extra",
            "fleet --nodes 5",
            "pages --all",
            "passed-by 10",
            "versus --fixed --seeds 3",
            "versus --mode agent",
            "versions --pair 13.0.0",
            "versions --fixed --pair 13.0.0 39.0.0",
        ] {
            let error = parse(words).err().unwrap();
            assert!(error.use_stderr(), "{words}: {error}");
        }
    }
}
