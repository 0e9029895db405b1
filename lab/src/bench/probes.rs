//! What the probes cost the connects of others.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use rustix::thread::{CpuSet, sched_setaffinity};
use testbed::daemon::Daemon;
use testbed::netns::Netns;

use super::report::{Aim, Figure};
use super::samples::{Samples, alternate, ratios};
use super::{Bench, PATIENCE};

/// Rounds; each one measures without and with the probes, in turns.
const ROUNDS: usize = 41;
/// Parts of one measurement, whose median counts: what else runs on the machine disturbs a few of them.
const PARTS: usize = 5;
/// Connects in one part: some hundredths of a second.
const CONNECTS: u32 = 1_000;

/// A kind of connect, and the ratio that the project aims at.
struct Workload {
    name: &'static str,
    aim: f64,
    work: fn(u32) -> std::io::Result<()>,
}

const WORKLOADS: [Workload; 2] = [
    Workload { name: "failing loopback connect", aim: 1.10, work: failing },
    Workload { name: "successful loopback connect", aim: 1.03, work: successful },
];

/// Connects beside a daemon with and without them, in turns.
pub fn measure(bench: &Bench) -> anyhow::Result<Figure> {
    let rounds = bench.rounds(ROUNDS);
    let mut figure = Figure::new(
        "What the probes cost the connects of others",
        format!(
            "{rounds} rounds, in each a fresh daemon with the probes and one without, in turns; in each {PARTS} times \
             {CONNECTS} blocking connects over loopback by a thread that stays on one processor, whose median counts."
        ),
    );
    for Workload { name, aim, work } in WORKLOADS {
        let one = |probes| connects(&bench.binary, probes, work);
        let (without, with) = alternate(rounds, || one(false), || one(true))?;
        let ratio = ratios(&with, &without);
        figure.row(format!("{name}, without"), without.into_iter().collect::<Samples>().times());
        figure.row(format!("{name}, with the probes"), with.into_iter().collect::<Samples>().times());
        let aim = Aim::at_most(ratio.median(), aim, |limit| format!("{limit:.2}"));
        figure.aimed(format!("{name}, with / without"), ratio.spread(|ratio| format!("{ratio:.3}")), aim);
    }
    figure.limited_by(
        "A connect runs programs at its entry, at its exit and at each change of its socket's state, and while they are \
         attached every system call of the machine takes the kernel's traced path.",
    );
    Ok(figure)
}

/// Microseconds for one connect, with a daemon beside it that has its probes attached or not.
fn connects(
    binary: &std::path::Path,
    probes: bool,
    work: fn(u32) -> std::io::Result<()>,
) -> anyhow::Result<f64> {
    let netns = Arc::new(Netns::new()?);
    let choice = if probes { "auto" } else { "off" };
    let flags = ["--ironic.api-url=http://192.0.2.1:6385", &format!("--probe.connect={choice}")];
    let mut daemon = Daemon::start(binary, &netns, &flags)?;
    daemon.wait_log("generation=", PATIENCE)?;
    let attached = daemon.metric("probe_attached{probe=\"connect\"}")?.context("no metric of the probe")?;
    if (attached == 1.0) != probes {
        bail!("the probes are not as wanted:\n{}", daemon.log());
    }
    let mut parts = netns.enter(|| {
        stay_on_one_processor()?;
        work(CONNECTS)?; // Caches, port tables.
        (0..PARTS)
            .map(|_| {
                let started = Instant::now();
                work(CONNECTS)?;
                Ok(started.elapsed().as_secs_f64() * 1e6 / f64::from(CONNECTS))
            })
            .collect::<std::io::Result<Vec<f64>>>()
    })??;
    daemon.terminate()?;
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

fn failing(count: u32) -> std::io::Result<()> {
    for _ in 0..count {
        if TcpStream::connect("127.0.0.1:1").is_ok() {
            return Err(std::io::Error::other("something listens on port 1"));
        }
    }
    Ok(())
}

fn successful(count: u32) -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    for _ in 0..count {
        let stream = TcpStream::connect(address)?;
        let accepted = listener.accept()?;
        // This side closes first, and its port waits: the other's must not.
        drop(accepted);
        drop(stream);
    }
    Ok(())
}
