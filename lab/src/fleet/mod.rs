//! `cargo lab fleet`: a real Ironic with thousands of nodes, `ipa-fleet check` and `ipa-fleet run` on it, and beside that,
//! in the same run, what a listing with all details costs.
#![allow(clippy::indexing_slicing)] // Of JSON: null where there is nothing.

mod running;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use testbed::http::Http;
use testbed::ironic::{API_VERSION, Options, RealIronic, VERSION_HEADER};
use xtask::prerequisites::{self, Purpose};
use xtask::process;
use xtask::workspace::{FLEET, target_directory};

use crate::owned::Scratch;

/// The most that either command may have resident, in KiB.
const MOST_KIB: u64 = 64 << 10;
/// How often each is measured.
const ROUNDS: usize = 3;
/// How often memory is looked at: the kernel keeps the peak.
const LOOK: Duration = Duration::from_millis(5);

/// What the command line can say.
#[derive(clap::Args)]
pub struct Flags {
    /// How many nodes
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    nodes: u32,
}

/// What one way of asking costs.
struct Cost {
    requests: u64,
    bytes: u64,
    took: Duration,
}

/// Runs it.
///
/// # Errors
/// Where something is missing, or `check` does not find what is there, or takes too much memory.
pub fn run(flags: &Flags) -> anyhow::Result<()> {
    prerequisites::ensure(Purpose::Build)?;
    process::run(process::cargo().args(["build", "--release", "--package", FLEET]))?;
    let binary = std::path::absolute(target_directory().join("release").join(FLEET))?;
    RealIronic::install(testbed::ironic::VERSION, &mut |line| println!("{line}"))?;
    // Its own look at the power of so many nodes would take the processors from what is measured.
    let ironic = RealIronic::start(&Options { port: 0, power_sync: 0, ..Options::default() })?;
    let scratch = Scratch::new("fleet")?;
    let script = scratch.path().join("nodes.py");
    std::fs::write(&script, include_str!("nodes.py"))?;
    let fill = Instant::now();
    process::run(Command::new("python3").arg(&script).arg(ironic.database()).arg(flags.nodes.to_string()))?;
    println!("{} nodes, filled in {:.1} s", flags.nodes, fill.elapsed().as_secs_f64());

    println!("\n{:36} {:>9} {:>12} {:>9} {:>14}", "", "requests", "bytes", "seconds", "resident KiB");
    let mut worst = 0;
    for _ in 0..ROUNDS {
        for (what, since) in [("ipa-fleet check", "24h"), ("the same where no failure is young", "1s")] {
            let (cost, peak) = check(&binary, &ironic, flags.nodes, since)?;
            row(what, &cost, Some(peak));
            worst = worst.max(peak);
        }
        row("one listing with detail=true", &listing(ironic.http(), flags.nodes)?, None);
    }
    ensure!(worst <= MOST_KIB, "check had {worst} KiB resident, more than {MOST_KIB}");
    running::measure(&binary, &ironic.url(), flags.nodes, &scratch)?;
    println!("{} nodes: check found every bad URL and every failure, with at most {worst} KiB", flags.nodes);
    Ok(())
}

fn row(what: &str, cost: &Cost, peak: Option<u64>) {
    let peak = peak.map_or_else(String::new, |peak| peak.to_string());
    let seconds = cost.took.as_secs_f64();
    println!("{what:36} {:>9} {:>12} {seconds:>9.2} {peak:>14}", cost.requests, cost.bytes);
}

/// Runs `check`, and compares what it finds with what was made.
fn check(binary: &Path, ironic: &RealIronic, nodes: u32, since: &str) -> anyhow::Result<(Cost, u64)> {
    let start = Instant::now();
    let mut child = Command::new(binary)
        .args(["check", "--json", "--log.level=info", "--log.format=json", "--since", since])
        .arg(format!("--ironic.url={}", ironic.url()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let id = child.id();
    let watcher = std::thread::spawn(move || {
        let mut peak = 0;
        while let Some(kib) = high_water(id) {
            peak = kib.max(peak);
            std::thread::sleep(LOOK);
        }
        peak
    });
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let log = std::thread::spawn(move || {
        std::io::read_to_string(err.context("no pipe")?).map_err(anyhow::Error::from)
    });
    let document = std::io::read_to_string(out.context("no pipe")?)?;
    let status = child.wait()?;
    let took = start.elapsed();
    let (peak, log) = match (watcher.join(), log.join()) {
        (Ok(peak), Ok(log)) => (peak, log?),
        _ => bail!("a thread of the measurement panicked"),
    };
    let found: Value = serde_json::from_str(&document).with_context(|| log.clone())?;
    let judged = found["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let count = |wanted: &dyn Fn(&Value) -> bool| judged.iter().filter(|node| wanted(node)).count();
    let bad = count(&|node| node["verdict"] == "bad");
    let failed = count(&|node| node["failure"]["reasons"][0] == "percent_encoded_host");
    let made = |shares: std::ops::Range<u32>| {
        (0..nodes - 1).filter(|number| shares.contains(&(number % 100))).count()
    };
    let young = if since == "1s" { 0 } else { made(97..100) };
    let expected = (Some(1), Some(u64::from(nodes)), made(95..97), young);
    let seen = (status.code(), found["visible"].as_u64(), bad, failed);
    ensure!(seen == expected, "check saw {seen:?} where {expected:?} was made: {}", found["problems"]);
    let asked = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let asked =
        asked.filter_map(|line| Some((line["requests"].as_u64()?, line["bytes"].as_u64()?))).next_back();
    let (requests, bytes) = asked.with_context(|| format!("no line with its requests: {log}"))?;
    Ok((Cost { requests, bytes, took }, peak))
}

/// The most that a process ever had resident, in KiB; `None` once it has ended.
fn high_water(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Walks through all nodes with all their fields.
fn listing(http: &Http, nodes: u32) -> anyhow::Result<Cost> {
    let headers = [(VERSION_HEADER, API_VERSION), ("Accept", "application/json")];
    let start = Instant::now();
    let (mut cost, mut seen, mut marker) =
        (Cost { requests: 0, bytes: 0, took: Duration::ZERO }, 0, String::new());
    loop {
        let answer = http.get(&format!("/v1/nodes?detail=true&limit=1000{marker}"), &headers)?;
        cost.requests += 1;
        cost.bytes += answer.body.len() as u64;
        let page = answer.json()?;
        let listed = page["nodes"].as_array().context("no nodes")?;
        seen += listed.len();
        let last = listed.last().and_then(|node| node["uuid"].as_str()).unwrap_or_default();
        marker = format!("&marker={last}");
        if page["next"].is_null() {
            ensure!(u32::try_from(seen) == Ok(nodes), "the listing has {seen} nodes");
            cost.took = start.elapsed();
            return Ok(cost);
        }
    }
}
