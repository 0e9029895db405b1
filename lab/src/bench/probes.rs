//! What the probes cost the connects of others: in time on this machine, in instructions in guests.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use rustix::thread::{CpuSet, sched_setaffinity};
use testbed::daemon::{Daemon, are_loading};
use testbed::netns::Netns;

use super::report::{Aim, Figure};
use super::samples::{Samples, alternate, ratios};
use super::work::Work;
use super::{Bench, PATIENCE};

mod guests;

/// Rounds; each one measures without and with the probes, in turns.
const ROUNDS: usize = 41;
/// Parts of one measurement, whose median counts: what else runs on the machine disturbs a few of them.
const PARTS: usize = 5;
/// Connects in one part: some hundredths of a second.
const CONNECTS: u32 = 1_000;

/// On this machine times vary; these are what they should be.
const AIMS: [(Work, f64); 2] = [(Work::Failing, 1.05), (Work::Successful, 1.02)];

/// Connects beside a daemon with them and without any daemon, in turns.
pub fn measure(bench: &Bench) -> anyhow::Result<Figure> {
    let rounds = bench.rounds(ROUNDS);
    let mut figure = Figure::new(
        "What the probes cost the connects of others",
        format!(
            "{rounds} rounds, in each a fresh daemon with the probes and no daemon, in turns. {PARTS} times {CONNECTS} blocking \
             connects over loopback by a thread that stays on one processor. Their median counts. Guests count instructions \
             instead, in virtual machines without any other load. The path `tracepoint` is that of kernels without type \
             information. Without eBPF the kernel announces the end of each connection over sock_diag."
        ),
    );
    for (work, aim) in AIMS {
        let name = work.name();
        let (without, with) =
            alternate(rounds, || connects(&Netns::new()?, work), || beside_probes(&bench.binary, work))?;
        let ratio = ratios(&with, &without);
        figure.row(format!("{name}, without"), without.into_iter().collect::<Samples>().times());
        figure.row(format!("{name}, with the probes"), with.into_iter().collect::<Samples>().times());
        let aim = Aim::at_most(ratio.median(), aim, |limit| format!("{limit:.2}"));
        figure.aimed(format!("{name}, with / without"), ratio.spread(|ratio| format!("{ratio:.3}")), aim);
    }
    guests::measure(bench, &mut figure)?;
    figure.limited_by(
        "Times of some microseconds vary from one daemon to the next by more than what the probes add; the instructions do not.",
    );
    Ok(figure)
}

/// Microseconds for one connect beside a daemon that has its probes attached.
fn beside_probes(binary: &std::path::Path, work: Work) -> anyhow::Result<f64> {
    let netns = Arc::new(Netns::new()?);
    // Sight looks at packets only for an API over http: that is not measured here.
    let flags = ["--ironic.api-url=https://192.0.2.1:6385", "--probe.connect=auto"];
    let mut daemon = Daemon::start(binary, &netns, &flags)?;
    daemon.wait_state("the probes", PATIENCE, |state| !are_loading(state))?;
    if daemon.metric("probe_attached{probe=\"connect\"}")? != Some(1.0) {
        bail!("the probes are not attached:\n{}", daemon.log());
    }
    let time = connects(&netns, work)?;
    daemon.terminate()?;
    Ok(time)
}

/// Microseconds for one connect in a namespace.
fn connects(netns: &Netns, work: Work) -> anyhow::Result<f64> {
    let mut parts = netns.enter(|| {
        stay_on_one_processor()?;
        work.times(CONNECTS)?; // Caches, port tables.
        (0..PARTS)
            .map(|_| {
                let started = Instant::now();
                work.times(CONNECTS)?;
                Ok(started.elapsed().as_secs_f64() * 1e6 / f64::from(CONNECTS))
            })
            .collect::<std::io::Result<Vec<f64>>>()
    })??;
    parts.sort_by(f64::total_cmp);
    parts.get(PARTS / 2).copied().context("nothing was measured")
}

/// This thread runs on the last processor only: moving about costs more than the probes do.
///
/// # Errors
/// Where the kernel refuses.
pub fn stay_on_one_processor() -> std::io::Result<()> {
    let last = std::thread::available_parallelism()?.get() - 1;
    let mut processors = CpuSet::new();
    processors.set(last);
    Ok(sched_setaffinity(None, &processors)?)
}
