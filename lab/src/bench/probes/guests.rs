//! The same in virtual machines that count instructions as nanoseconds (`-icount shift=0`): whatever else runs here, and where
//! programs attach to functions.

use std::time::Duration;

use anyhow::{Context, ensure};
use testbed::architecture::Architecture;
use testbed::guest::{self, Boot, Initramfs, Kernel, Machine};

use crate::bench::Bench;
use crate::bench::report::{Aim, Figure};
use crate::bench::samples::{Samples, ratios};
use crate::bench::work::Work;

const INIT: &str = include_str!("guest-init.sh");
const ROUNDS: usize = 5;
/// For all rounds of one guest.
const LIMIT: Duration = Duration::from_secs(600);
/// The ratios that the project aims at.
const AIMS: [(Work, f64); 3] = [(Work::Failing, 1.05), (Work::Successful, 1.02), (Work::Getppid, 1.001)];
/// The paths, and the kind of daemon that takes each.
const PATHS: [(&str, &str); 2] = [("trampoline", "typed"), ("tracepoint", "untyped")];
/// Each way of seeing connects, and the kind of daemon that has it.
const WAYS: [(&str, &str); 3] =
    [("path `trampoline`", "typed"), ("path `tracepoint`", "untyped"), ("without eBPF", "off")];

/// Adds the rows of Linux 6.1 and 6.12.
pub fn measure(bench: &Bench, figure: &mut Figure) -> anyhow::Result<()> {
    let say = &mut |line: &str| println!("{line}");
    for (series, kernel) in
        [("6.1", Kernel::install(say)?), ("6.12", Kernel::install_of(guest::LINUX_6_12, say)?)]
    {
        let console = boot(bench, &kernel)?;
        for (path, _) in PATHS {
            let label = format!("path=\"{path}\"");
            ensure!(console.contains(&label), "the probes are not as wanted:\n{console}");
        }
        for (work, aim) in AIMS {
            let counts = |kind| counts(&console, work, kind);
            let instructions = |counts: &[f64]| {
                counts.iter().copied().collect::<Samples>().spread(|count| format!("{count:.0}"))
            };
            let name = format!("Linux {series}, {}", work.name());
            let without = counts("none")?;
            figure.row(format!("{name}, instructions without"), instructions(&without));
            for (way, kind) in WAYS {
                let with = counts(kind)?;
                let ratio = ratios(&with, &without);
                let name = format!("{name}, {way}");
                figure.row(format!("{name}, instructions"), instructions(&with));
                let value = ratio.spread(|ratio| format!("{ratio:.3}"));
                // The others are for kernels that lack something.
                match kind {
                    "typed" => {
                        let aim = Aim::at_most(ratio.median(), aim, |limit| format!("{limit:.3}"));
                        figure.aimed(format!("{name}, with / without"), value, aim);
                    }
                    _ => figure.row(format!("{name}, with / without"), value),
                }
            }
        }
    }
    Ok(())
}

fn boot(bench: &Bench, kernel: &Kernel) -> anyhow::Result<String> {
    let rounds = if bench.quick { 1 } else { ROUNDS };
    let rounds: Vec<_> = (0..rounds).map(|round| round.to_string()).collect();
    let initramfs = Initramfs::new("bench-probes", &INIT.replace("ROUNDS", &rounds.join(" ")))?;
    initramfs.add_program(&bench.binary, "bin/ipa-sidecar")?;
    initramfs.add_program(&std::env::current_exe()?, "bin/lab")?;
    let image = initramfs.pack()?;
    let devices = ["-nic", "none", "-icount", "shift=0"].map(str::to_owned);
    let boot = Boot {
        architecture: Architecture::X86_64,
        kernel: &kernel.image,
        initramfs: &image,
        words: "maxcpus=1",
        memory: 1024,
        devices: &devices,
        netns: None,
    };
    Ok(Machine::start(&boot)?.powered_off(LIMIT)?)
}

/// What the guest printed of this work.
fn counts(console: &str, work: Work, kind: &str) -> anyhow::Result<Vec<f64>> {
    let start = format!("== {} {kind} ", work.word());
    let lines = console.lines().filter_map(|line| line.trim().strip_prefix(&start));
    let counts: Result<Vec<f64>, _> = lines.map(str::parse).collect();
    let counts = counts.with_context(|| console.to_owned())?;
    ensure!(!counts.is_empty(), "nothing was measured:\n{console}");
    Ok(counts)
}
