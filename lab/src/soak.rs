//! `cargo lab soak`: a day of trouble in twenty minutes. One daemon in mode agent and one in mode guard while their
//! addresses and carriers flap, routes come in bursts, Ironic restarts, and Prometheus scrapes every second.

use std::fmt::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::{Value, json};
use testbed::daemon::Daemon;
use testbed::http::Http;
use testbed::netns::Netns;
use testbed::stand_in::{Behaviour, StandIn};
use xtask::{build, prerequisites};

use crate::owned::Scratch;
use crate::{routes, usage};

/// One step of the trouble, and one scrape.
const TICK: Duration = Duration::from_secs(1);
/// Ironic is away for so many ticks of [`RESTART`].
const AWAY: u64 = 4;
const RESTART: u64 = 30;
/// Routes in one burst.
const ROUTES: usize = 2_000;
/// How much resident memory may move between the first and the last part: pages of the allocator.
const FLAT_KIB: u64 = 1_024;
/// How long the right decision may take once all is quiet.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the operator handed out, so that a restarted Ironic still knows it.
const TOKEN: &str = "handed-out-0123456789-abcdefghijklmnopqrstu";
const NODE: &str = "11111111-1111-4111-8111-111111111111";

/// Lets it run; prints a line a minute.
///
/// # Errors
/// Where something grew, the decision is not right in the end, or a page was not served.
pub fn run(minutes: u64) -> anyhow::Result<()> {
    prerequisites::ensure_root("soak")?;
    let (binary, scratch) = (build::release()?, Scratch::new("soak")?);
    let (binary, directory, config) = (&*binary, scratch.path(), scratch.directory("ipa.d")?);
    let conductor = Arc::new(Netns::new()?);
    let token = directory.join("token");
    std::fs::write(&token, TOKEN)?;
    let token = format!("--ironic.agent-token-file={}", token.display());
    let config = format!("--ipa.config-dir={}", config.display());
    let agent = ["--mode=agent", "--agent.without-listener", &token];
    let guard = ["--mode=guard", &config];
    let mut nodes = [
        Node::start("agent", 1, binary, &conductor, directory, &agent)?,
        Node::start("guard", 2, binary, &conductor, directory, &guard)?,
    ];
    println!("{minutes} minutes; memory in KiB, threads, descriptors at the end of each");
    let ticks = minutes * 60;
    let mut next = Instant::now();
    for tick in 1..=ticks {
        for node in &mut nodes {
            node.trouble(tick).with_context(|| format!("{}, second {tick}", node.name))?;
            node.observe().with_context(|| format!("{}, second {tick}\n{}", node.name, node.daemon.log()))?;
        }
        if tick % 60 == 0 {
            let line = nodes.iter().fold(format!("minute {:3}", tick / 60), |line, node| line + &node.line());
            println!("{line}");
        }
        next += TICK;
        sleep(next.saturating_duration_since(Instant::now()));
    }
    let mut failures = String::new();
    for node in &mut nodes {
        node.calm()?;
        if let Err(error) = node.verdict(binary) {
            writeln!(failures, "{}: {error:#}", node.name)?;
        }
    }
    if failures.is_empty() {
        return Ok(());
    }
    bail!("{failures}")
}

/// A daemon, its machine, and its Ironic.
struct Node {
    name: &'static str,
    netns: Arc<Netns>,
    conductor: Arc<Netns>,
    daemon: Daemon,
    ironic: Option<StandIn>,
    /// `10.77.N`.
    net: String,
    /// The conductor's end of the wire.
    wire: String,
    batches: [PathBuf; 2],
    api: Http,
    samples: Vec<Sample>,
    slowest: Duration,
    accepted: u64,
    restarts: u64,
    flaps: u64,
}

/// What must not grow.
#[derive(Clone, Copy)]
struct Sample {
    resident: u64,
    threads: u64,
    descriptors: u64,
}

impl Node {
    fn start(
        name: &'static str,
        number: u8,
        binary: &Path,
        conductor: &Arc<Netns>,
        directory: &Path,
        flags: &[&str],
    ) -> anyhow::Result<Self> {
        let netns = Arc::new(Netns::new()?);
        let (net, wire) = (format!("10.77.{number}"), format!("wire{number}"));
        netns.join("eth0.77", conductor, &wire)?;
        netns.sysctl("net/ipv4/conf/all/promote_secondaries", "1")?;
        conductor.ip(&format!("addr add {net}.1/24 dev {wire}"))?;
        netns.ip(&format!("addr add {net}.5/24 dev eth0.77"))?;
        let batches = ["add", "del"].map(|verb| directory.join(format!("{name}-{verb}")));
        for (path, verb) in batches.iter().zip(["add", "del"]) {
            routes::write(path, routes::lines(verb, ROUTES, "lo"))?;
        }
        let ironic = Some(ironic(conductor, &net)?);
        let api = format!("--ironic.api-url=http://{net}.1:6385");
        let daemon = Daemon::start(binary, &netns, &[&[api.as_str()], flags].concat())?;
        daemon.wait_address(Some(&format!("{net}.5")), PATIENCE)?;
        Ok(Self {
            name,
            api: Http::inside(&netns, format!("{net}.1:6385").parse()?),
            netns,
            conductor: Arc::clone(conductor),
            daemon,
            ironic,
            net,
            wire,
            batches,
            samples: Vec::new(),
            slowest: Duration::ZERO,
            accepted: 0,
            restarts: 0,
            flaps: 0,
        })
    }

    /// What happens in this second.
    fn trouble(&mut self, tick: u64) -> anyhow::Result<()> {
        // The pinned address and another one come and go, in turns and both.
        let change = match tick % 8 {
            1 => "addr add NET.6/24 dev eth0.77",
            3 => "addr del NET.5/24 dev eth0.77",
            5 => "addr add NET.5/24 dev eth0.77",
            7 => "addr del NET.6/24 dev eth0.77",
            _ => "",
        };
        if !change.is_empty() {
            self.netns.ip(&change.replace("NET", &self.net))?;
            self.flaps += 1;
        }
        match tick % 14 {
            6 => self.carrier(false)?,
            8 => self.carrier(true)?,
            _ => {}
        }
        match tick % 10 {
            2 => self.burst(0)?,
            9 => self.burst(1)?,
            _ => {}
        }
        match tick % RESTART {
            0 => self.ironic = None,
            AWAY => {
                self.restarts += u64::from(tick > AWAY);
                if self.ironic.is_none() {
                    self.ironic = Some(ironic(&self.conductor, &self.net)?);
                }
            }
            _ => {}
        }
        if self.name == "guard" {
            self.ask_as_ipa();
        }
        Ok(())
    }

    fn carrier(&self, there: bool) -> anyhow::Result<()> {
        let word = if there { "up" } else { "down" };
        self.conductor.ip(&format!("link set {} {word}", self.wire))?;
        Ok(())
    }

    fn burst(&self, which: usize) -> anyhow::Result<()> {
        let batch = self.batches.get(which).context("two batches")?;
        // Some are there or gone already where a device was.
        self.netns.ip(&format!("-force -batch {}", batch.display())).map(drop).or(Ok(()))
    }

    /// A lookup and a heartbeat through the guard; with Ironic away they go unanswered.
    fn ask_as_ipa(&mut self) {
        let version = [("X-OpenStack-Ironic-API-Version", "1.68")];
        let _ = self.api.get(&format!("/v1/lookup?node_uuid={NODE}"), &version);
        let url = format!("http://{}.5 uid 0:9999", self.net);
        let body = json!({"callback_url": url, "agent_token": TOKEN, "agent_version": "13.0.0"});
        let answer = self.api.post(&format!("/v1/heartbeat/{NODE}"), &version, &body);
        self.accepted += u64::from(answer.is_ok_and(|answer| answer.status == 202));
    }

    /// A scrape as Prometheus makes it, the pages now and then, and what the kernel says of the process.
    fn observe(&mut self) -> anyhow::Result<()> {
        let paths: &[&str] =
            if self.samples.len().is_multiple_of(10) { &["/metrics", "/", "/state"] } else { &["/metrics"] };
        for path in paths {
            let begun = Instant::now();
            let status = self.daemon.get(path)?.status;
            if status != 200 {
                bail!("{path} answered {status}");
            }
            self.slowest = self.slowest.max(begun.elapsed());
        }
        self.samples.push(Sample::of(self.daemon.pid())?);
        Ok(())
    }

    fn line(&self) -> String {
        let Some(last) = self.samples.last() else { return String::new() };
        format!("   {} {:6} {:2} {:3}", self.name, last.resident, last.threads, last.descriptors)
    }

    /// Everything is as at the start.
    fn calm(&mut self) -> anyhow::Result<()> {
        self.carrier(true)?;
        if self.ironic.is_none() {
            self.ironic = Some(ironic(&self.conductor, &self.net)?);
        }
        let add = self.netns.ip(&format!("addr add {}.5/24 dev eth0.77", self.net));
        let del = self.netns.ip(&format!("addr del {}.6/24 dev eth0.77", self.net));
        drop((add, del)); // Either may be so already.
        self.burst(1)
    }

    /// The decision is right, and nothing has grown.
    fn verdict(&mut self, binary: &Path) -> anyhow::Result<()> {
        let right = format!("{}.5", self.net);
        let begun = Instant::now();
        self.daemon.wait_address(Some(&right), PATIENCE)?;
        let took = begun.elapsed();
        let fresh = self.explain(binary)?;
        if fresh.get("address") != Some(&Value::from(right.as_str())) {
            bail!("explain says {fresh}, and {right} is right");
        }
        if self.name == "agent" {
            let sample = "heartbeats_total{result=\"accepted\",sender=\"sidecar\"}";
            self.accepted = self.daemon.metric(sample)?.unwrap_or_default() as u64;
        }
        let (early, late) = (self.part(0.2, 0.4), self.part(0.8, 1.0));
        println!(
            "{}: {} s, {} changes of addresses, {} restarts of Ironic, {} decisions, {} heartbeats accepted, slowest page \
             {} ms; right {} ms after all was quiet\n  memory {} -> {} KiB, threads {} -> {}, descriptors {} -> {} \
             (medians of the second and the last fifth; most ever {} KiB, {} threads, {} descriptors)",
            self.name,
            self.samples.len(),
            self.flaps,
            self.restarts,
            self.daemon.state()?.get("generation").cloned().unwrap_or_default(),
            self.accepted,
            self.slowest.as_millis(),
            took.as_millis(),
            early.resident,
            late.resident,
            early.threads,
            late.threads,
            early.descriptors,
            late.descriptors,
            self.most(|sample| sample.resident),
            self.most(|sample| sample.threads),
            self.most(|sample| sample.descriptors),
        );
        if self.accepted == 0 {
            bail!("no heartbeat was accepted: this shows nothing");
        }
        if late.resident > early.resident + FLAT_KIB {
            bail!("resident memory grew from {} to {} KiB", early.resident, late.resident);
        }
        if late.threads > early.threads || late.descriptors > early.descriptors + 1 {
            bail!("threads or descriptors grew");
        }
        let (status, ended) = self.daemon.terminate()?;
        if status.code() != Some(0) || ended > Duration::from_secs(2) {
            bail!("it ended with {status} after {ended:?}");
        }
        Ok(())
    }

    fn explain(&self, binary: &Path) -> anyhow::Result<Value> {
        let api = format!("--ironic.api-url=http://{}.1:6385", self.net);
        let mut command = self.netns.command(binary);
        command.args(["explain", "--json", "--no-vmedia", "--cmdline.path=/dev/null", &api]);
        Ok(serde_json::from_slice(&command.output()?.stdout)?)
    }

    /// Medians between two points of the run.
    fn part(&self, from: f64, to: f64) -> Sample {
        let at = |share: f64| (self.samples.len() as f64 * share) as usize;
        let part = self.samples.get(at(from)..at(to)).unwrap_or_default();
        let median = |of: fn(&Sample) -> u64| {
            let mut values: Vec<u64> = part.iter().map(of).collect();
            values.sort_unstable();
            values.get(values.len() / 2).copied().unwrap_or_default()
        };
        Sample {
            resident: median(|sample| sample.resident),
            threads: median(|sample| sample.threads),
            descriptors: median(|sample| sample.descriptors),
        }
    }

    fn most(&self, of: impl Fn(&Sample) -> u64) -> u64 {
        self.samples.iter().map(of).max().unwrap_or_default()
    }
}

impl Sample {
    fn of(pid: u32) -> anyhow::Result<Self> {
        let (resident, threads) = (usage::resident(pid)?, usage::threads(pid)?);
        Ok(Self { resident, threads, descriptors: u64::try_from(usage::descriptors(pid)?)? })
    }
}

fn ironic(conductor: &Netns, net: &str) -> anyhow::Result<StandIn> {
    let address = format!("{net}.1:6385");
    let listener = conductor.enter(|| TcpListener::bind(&address))??;
    let behaviour = Behaviour {
        node_uuid: NODE.to_owned(),
        pregenerated_token: Some(TOKEN.to_owned()),
        require_tls: false,
        heartbeat_timeout: 10,
        ..Behaviour::default()
    };
    Ok(StandIn::start(listener, behaviour)?)
}
