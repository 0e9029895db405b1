//! A million route changes as fast as `ip -batch` makes them.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use testbed::daemon::Daemon;
use testbed::netns::Netns;

use super::report::{Aim, Figure};
use super::samples::{Samples, microseconds, time};
use super::{Bench, PATIENCE};
use crate::owned::{Killed, Scratch};
use crate::routes;
use crate::usage::{Usage, mebibytes, resident};

/// Added, then deleted.
const ROUTES: usize = 500_000;
const HERE: &str = "10.0.0.2";
const THERE: &str = "10.1.0.2";
const MACHINE: &str = "
    link add n0 type veth peer name n1
    link add m0 type veth peer name m1
    link set n0 up
    link set n1 up
    link set m0 up
    link set m1 up
    addr add 10.0.0.2/24 dev n0
    addr add 10.1.0.2/24 dev m0
    route add 203.0.113.0/24 via 10.0.0.1 dev n0";

/// What the rounds gave.
#[derive(Default)]
struct Seen {
    storm: Vec<f64>,
    right_after: Vec<f64>,
    ours: Vec<f64>,
    theirs: Vec<f64>,
    memory: Vec<(u64, u64)>,
    their_memory: Vec<(u64, u64)>,
    asked: Vec<f64>,
    overruns: Vec<f64>,
}

/// The daemon and `ip monitor` in the same storms.
pub fn measure(bench: &Bench) -> anyhow::Result<Figure> {
    let (routes, rounds) = (bench.rounds(ROUTES), if bench.quick { 1 } else { 3 });
    let netns = Arc::new(Netns::new()?);
    netns.ip_lines(MACHINE)?;
    let directory = Scratch::new("storm")?;
    let batch = directory.path().join("batch");
    // Every route added, every route deleted, and then the way to the API moved to the other NIC.
    let lines = ["add", "del"].into_iter().flat_map(|verb| routes::lines(verb, routes, "n0"));
    let move_the_way = "route replace 203.0.113.0/24 via 10.1.0.1 dev m0".to_owned();
    routes::write(&batch, lines.chain([move_the_way]))?;
    let api = "--ironic.api-url=http://203.0.113.1:6385";
    let daemon = Daemon::start(&bench.binary, &netns, &[api])?;
    daemon.wait_address(Some(HERE), PATIENCE)?;
    let monitor = IpMonitor::start(&netns)?;
    let mut seen = Seen::default();
    for _ in 0..rounds {
        round(&netns, &batch, &daemon, &monitor, &mut seen)?;
        netns.ip("route replace 203.0.113.0/24 via 10.0.0.1 dev n0")?;
        daemon.wait_address(Some(HERE), PATIENCE)?;
    }
    let lost = monitor.end()?;
    Ok(figure(routes, seen, lost))
}

fn round(
    netns: &Netns,
    batch: &Path,
    daemon: &Daemon,
    monitor: &IpMonitor,
    seen: &mut Seen,
) -> anyhow::Result<()> {
    let counters = || -> anyhow::Result<[f64; 3]> {
        let text = daemon.get("/metrics")?.text();
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("ipa_sidecar_{name} ")));
            line.and_then(|value| value.parse().ok()).with_context(|| format!("no metric {name}"))
        };
        let query = |result| value(&format!("netlink_queries_total{{query=\"route\",result=\"{result}\"}}"));
        Ok([query("ok")?, query("error")?, value("netlink_overruns_total")?])
    };
    let before = counters()?;
    let (pid, their_pid) = (daemon.pid(), monitor.process.0.id());
    let memory = (resident(pid)?, resident(their_pid)?);
    let (mut ours, mut theirs) = (Usage::of(pid)?, Usage::of(their_pid)?);
    let started = Instant::now();
    netns.ip(&format!("-batch {}", batch.display()))?;
    let ended = Instant::now();
    ours.look()?;
    theirs.look()?;
    while daemon.state()?.get("address").and_then(serde_json::Value::as_str) != Some(THERE) {
        ensure!(ended.elapsed() < PATIENCE, "the daemon does not follow:\n{}", daemon.log());
        sleep(Duration::from_millis(1));
    }
    seen.right_after.push(microseconds(ended.elapsed()));
    let storm = ended - started;
    seen.storm.push(microseconds(storm));
    let share = |usage: &Usage| 100.0 * usage.processor().as_secs_f64() / storm.as_secs_f64();
    seen.ours.push(share(&ours));
    seen.theirs.push(share(&theirs));
    let after = counters()?;
    // Two to each decision: the way there, and again from the source that the first answer named.
    seen.asked.push((after[0] + after[1] - before[0] - before[1]) / 2.0);
    seen.overruns.push(after[2] - before[2]);
    seen.memory.push((memory.0, resident(pid)?));
    seen.their_memory.push((memory.1, resident(their_pid)?));
    Ok(())
}

fn figure(routes: usize, seen: Seen, lost: usize) -> Figure {
    let rounds = seen.storm.len();
    let samples = |values: Vec<f64>| values.into_iter().collect::<Samples>();
    let storm = samples(seen.storm);
    #[allow(clippy::cast_precision_loss)]
    let rate = 2.0 * routes as f64 / (storm.median() / 1e6);
    let mut figure = Figure::new(
        "A storm of route changes",
        format!(
            "`ip -batch` adds {routes} routes and deletes them, at {rate:.0} changes a second. Then it moves the way to the API \
             to another NIC. It does so {rounds} times, beside the daemon in mode `observe` and `ip monitor route` (its \
             output thrown away). The time to the right decision runs from the end of `ip` to the answer of `/state`, \
             asked for every millisecond or so. Share of one processor, of all threads."
        ),
    );
    let right = samples(seen.right_after);
    figure.row("the storm", storm.times());
    figure.aimed(
        "right after the last change",
        right.times(),
        Aim::at_most(right.quantile(1.0), 100_000.0, |limit| format!("{} each time", time(limit))),
    );
    let share = |value: f64| format!("{value:.1} %");
    figure.row("share of a processor, the daemon", samples(seen.ours).spread(share));
    figure.row("share of a processor, `ip monitor`", samples(seen.theirs).spread(share));
    let count = |value: f64| format!("{value:.0}");
    figure.row("times that the daemon asked the kernel", samples(seen.asked).spread(count));
    figure.row(
        "overruns of the daemon's socket, each answered by a question",
        samples(seen.overruns).spread(count),
    );
    figure.row("overruns that `ip monitor` reported, each with events lost", format!("{lost} in all"));
    figure.row("memory of the daemon, before and after each", memory(&seen.memory));
    figure.row("memory of `ip monitor`, before and after each", memory(&seen.their_memory));
    figure
}

#[allow(clippy::cast_precision_loss)]
fn memory(rounds: &[(u64, u64)]) -> String {
    let shown = |(before, after): &(u64, u64)| {
        format!("{} to {}", mebibytes(*before as f64), mebibytes(*after as f64))
    };
    rounds.iter().map(shown).collect::<Vec<_>>().join("; ")
}

/// `ip monitor route`, whose complaints about lost events are counted.
struct IpMonitor {
    process: Killed,
    complaints: JoinHandle<usize>,
}

impl IpMonitor {
    fn start(netns: &Netns) -> anyhow::Result<Self> {
        let mut command = netns.command("ip");
        command.args(["monitor", "route"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let stderr = child.stderr.take().context("no pipe to its errors")?;
        let lines = BufReader::new(stderr).lines().map_while(Result::ok);
        let complaints =
            std::thread::spawn(move || lines.filter(|line| line.contains("No buffer space")).count());
        sleep(Duration::from_millis(200)); // It says nothing when it hears.
        Ok(Self { process: Killed(child), complaints })
    }

    fn end(self) -> anyhow::Result<usize> {
        drop(self.process);
        self.complaints.join().map_err(|_| anyhow::anyhow!("the thread that counts panicked"))
    }
}
