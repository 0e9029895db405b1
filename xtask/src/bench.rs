//! `cargo xtask bench`: what the probes cost the connects of others.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::thread::{CpuSet, sched_setaffinity};
use testbed::daemon::Daemon;
use testbed::netns::Netns;

use crate::{Missing, build, prerequisites, process};

/// Rounds; each one measures without and with the probes, in turns.
const ROUNDS: usize = 41;
/// Parts of one measurement, whose median counts: what else runs on the machine disturbs a few of them.
const PARTS: usize = 5;
/// Connects in one part: some hundredths of a second.
const CONNECTS: u32 = 1_000;
const PATIENCE: Duration = Duration::from_secs(20);

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

/// Measures and prints medians with their quartiles. No figure is a failure.
pub fn run() -> anyhow::Result<()> {
    if !testbed::is_root() {
        return Err(Missing("bench makes network namespaces, which needs root".to_owned()).into());
    }
    prerequisites::ensure_to_build()?;
    process::run(&mut build::command()?)?;
    let binary = std::path::absolute(build::binary())?;
    for Workload { name, aim, work } in WORKLOADS {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            // Whichever is first in one round is second in the next.
            let order = if round % 2 == 0 { [false, true] } else { [true, false] };
            for probes in order {
                let took = measure(&binary, probes, work)?;
                if probes { &mut with } else { &mut without }.push(took);
            }
        }
        let mut ratios: Vec<f64> = with.iter().zip(&without).map(|(with, without)| with / without).collect();
        println!(
            "{name}: {} us without, {} us with the probes; ratio {} (aim {aim:.2}), {ROUNDS} rounds of {PARTS} times \
             {CONNECTS}",
            spread(&mut without, 1),
            spread(&mut with, 1),
            spread(&mut ratios, 3)
        );
    }
    Ok(())
}

/// Microseconds for one connect, with a daemon beside it that has its probes attached or not.
fn measure(
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
fn stay_on_one_processor() -> std::io::Result<()> {
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

/// The median, and the quartiles: the extremes tell what else ran on the machine.
fn spread(values: &mut [f64], digits: usize) -> String {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or_default();
    let (first, median, third) = (at(values.len() / 4), at(values.len() / 2), at(values.len() * 3 / 4));
    format!("{median:.digits$} ({first:.digits$} to {third:.digits$})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_between_the_quartiles() {
        assert_eq!(spread(&mut [3.0, 9.0, 1.0, 2.5, 0.1], 1), "2.5 (1.0 to 3.0)");
        assert_eq!(spread(&mut [], 1), "0.0 (0.0 to 0.0)");
    }
}
