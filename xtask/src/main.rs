//! Development commands: `cargo xtask COMMAND`.
#![allow(clippy::disallowed_methods)] // Running other programs is what this one is for.

mod bench;
mod bpf;
mod build;
mod ci;
mod dashboards;
mod demo;
mod deny;
mod dist;
mod docs;
mod faults;
mod fuzz;
mod ironic;
mod prerequisites;
mod process;
mod promises;
mod ramdisk;
mod references;
mod soak;
mod stages;
mod test;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

const USAGE: &str = "\
Usage: cargo xtask COMMAND

  build            build the release binary with the eBPF probes, target/release/ipa-sidecar; what compiles the BPF
                   programs is found (IPA_SIDECAR_BPF_TOOLCHAIN, a nightly with rust-src) or fetched (Debian)
  dist [--twice] [--target TRIPLE]
                   build the static binary and the archive for ramdisk builders, dist/ipa-sidecar-VERSION-ARCH.tar.zst;
                   --twice builds it again from nothing and compares
  ramdisk [--ipa | --dib]
                   boot the release in a virtual machine against a real Ironic: a busybox initramfs; --ipa: systemd and the
                   real ironic-python-agent; --dib: an image of diskimage-builder with our element
  test [FILTER]    install what the tests need, then run every test of the workspace (as root: all of them);
                   FILTER is a part of the name of tests or of a program in agent-user/tests, like guard
  ci               formatting, lints, documentation, licences, dashboards and every test; a table at the end
  ironic [FLAGS]   run a real Ironic with one node in the foreground, until Ctrl-C
                     --bind ADDRESS        default 127.0.0.1
                     --port PORT           default 6385; 0 takes a free one
                     --no-require-tls      let callback URLs be http://
                     --fast-track=BOOL     default true: record heartbeats, never command the agent
  docs             write docs/metrics.md anew from the declarations of the metrics
  pages            pictures of the page in a browser, in every state: target/pages and docs/img
  fuzz [SECONDS]   run every fuzz target for so long (default 60) and print how many inputs each has tried
  faults           run the tests of the fault matrix (docs/faults.md) and print it with what was seen
  promises         check that docs/promises.md and docs/faults.md are true to the code
  soak [MINUTES]   let daemons run (default 20) while addresses flap, routes burst and Ironic restarts: memory, threads
                   and descriptors must stay flat, and the decision right
  bench [--quick] [--write] [NAME...]
                   measure speed and cost beside what there would be instead, and write docs/benchmarks.md; NAME (question,
                   change, storm, idle, start, pages, guard, probes, size) measures some of it and only prints, unless
                   --write says so; --quick takes a tenth of the rounds
  dashboards [--keep|--pictures]
                   check dashboards/, then run real daemons in every kind of trouble under a real Prometheus: does
                   each panel, variable and alert show what it should; --keep leaves all of it up, --pictures
                   draws the boards into docs/img (npm, Chromium, 600 MB)
  demo [--once]    show what ipa-sidecar does

What is downloaded (Ironic, cargo-deny, cargo-fuzz, the BPF compiler and linker) is kept in $IPA_SIDECAR_CACHE, else $XDG_CACHE_HOME/ipa-sidecar, else
~/.cache/ipa-sidecar.

Exit status: 0 done, 1 something failed, 64 wrong usage, 69 something needed is missing here.
";

/// Wrong words on the command line: exit status 64 (EX_USAGE).
#[derive(Debug)]
struct WrongUsage(String);

/// What is needed and not there: exit status 69 (EX_UNAVAILABLE).
#[derive(Debug)]
struct Missing(String);

impl std::fmt::Display for WrongUsage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\n\n{USAGE}", self.0)
    }
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrongUsage {}
impl std::error::Error for Missing {}

fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let Err(error) = dispatch(&arguments) else {
        return ExitCode::SUCCESS;
    };
    eprintln!("\nxtask: {error:#}");
    match &error {
        error if error.is::<WrongUsage>() => ExitCode::from(64),
        error if error.is::<Missing>() => ExitCode::from(69),
        _ => ExitCode::FAILURE,
    }
}

fn dispatch(arguments: &[String]) -> anyhow::Result<()> {
    if arguments.is_empty() || arguments.iter().any(|word| matches!(word.as_str(), "--help" | "-h" | "help"))
    {
        print!("{USAGE}");
        return Ok(());
    }
    // As cargo sets it, not as it was when this was built: a copied or moved checkout works on itself.
    let manifest =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let root = Path::new(&manifest).parent().context("xtask has no parent directory")?;
    std::env::set_current_dir(root).with_context(|| format!("cannot go to {}", root.display()))?;
    match arguments {
        [command] if command == "build" => build::run(),
        [command] if command == "ci" => ci::run(),
        [command] if command == "docs" => docs::run(),
        [command] if command == "pages" => docs::pages(),
        [command] if command == "faults" => faults::run(),
        [command] if command == "promises" => promises::run().map(|found| println!("{found}")),
        [command, rest @ ..] if command == "fuzz" => fuzz::run(rest),
        [command, rest @ ..] if command == "soak" => soak::run(rest),
        [command, filter @ ..] if command == "test" => test::run(filter),
        [command, words @ ..] if command == "bench" => bench::run(words),
        [command, flags @ ..] if command == "dist" => dist::run(flags),
        [command, flags @ ..] if command == "ramdisk" => ramdisk::run(flags),
        [command, flags @ ..] if command == "ironic" => ironic::run(flags),
        [command, flags @ ..] if command == "demo" => demo::run(flags),
        [command, flags @ ..] if command == "dashboards" => dashboards::live::command(flags),
        [command, word, ..]
            if ["build", "ci", "docs", "pages", "faults", "promises"].contains(&command.as_str()) =>
        {
            Err(WrongUsage(format!("{command} takes no argument, and got {word:?}")).into())
        }
        [command, ..] => Err(WrongUsage(format!("unknown command {command:?}")).into()),
        [] => Ok(()),
    }
}
