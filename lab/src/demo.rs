//! `cargo lab demo`: the main job end to end, in network namespaces, with the addresses of the original failure.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use testbed::daemon::Daemon;
use testbed::netns::Netns;
use testbed::seed_ipa::{SeedIpa, SeedOptions};
use testbed::stand_in::{Behaviour, StandIn};
use xtask::bpf::Object;
use xtask::prerequisites::{self, Purpose};
use xtask::{build, process};

use crate::agent::{self, Threads};
use crate::owned::Scratch;

/// The seed's API, node and NIC; the NIC's name ends as a VLAN's does, or a veth would not pass for a NIC.
const API: &str = "172.25.134.35";
const NODE: &str = "172.25.134.128";
const NEW: &str = "172.25.134.129";
const NIC: &str = "enp2s0.1";
const MAC: &str = "28:9e:97:e2:65:65";
const PATIENCE: Duration = Duration::from_secs(60);

/// The metrics that tell the story.
const METRICS: [&str; 6] = [
    "advertise_address_info{",
    "advertise_address_changes_total ",
    "lookup_attempts_total{result=\"ok\",sender=\"sidecar\"}",
    "heartbeats_total{result=\"accepted\",sender=\"sidecar\"}",
    "heartbeats_total{result=\"pinned_refused\",sender=\"sidecar\"}",
    "bad_agent_url_reasons_total{",
];

/// Shows it; without `--once` the daemon then runs on until Ctrl-C.
pub fn run(once: bool) -> anyhow::Result<()> {
    prerequisites::ensure_root("the demo")?;
    prerequisites::ensure(Purpose::Build)?;
    eprintln!("Building ipa-sidecar (some minutes the first time)");
    process::build_quietly(&mut build::command(&Object::build()?))?;
    let stage = Stage::new()?;
    stage.the_failure()?;
    stage.the_guard()?;
    let daemon = stage.the_first_heartbeat()?;
    stage.the_address_changes(&daemon)?;
    println!("\n6. What Prometheus sees");
    for line in daemon.get("/metrics")?.text().lines() {
        let name = line.strip_prefix("ipa_sidecar_").unwrap_or_default();
        if METRICS.iter().any(|wanted| name.starts_with(wanted)) {
            println!("   {line}");
        }
    }
    if once {
        return stage.end(daemon);
    }
    println!("\nIt runs on until Ctrl-C. Look at it from another terminal:");
    println!("   nsenter --net=/proc/{}/ns/net curl -s localhost:10099/state", stage.node.pid());
    loop {
        std::thread::park();
    }
}

/// Two namespaces and an Ironic.
struct Stage {
    node: Arc<Netns>,
    ironic: StandIn,
    binary: std::path::PathBuf,
    _agent: Threads,
}

impl Stage {
    fn new() -> anyhow::Result<Self> {
        println!(
            "\n1. The stage: network namespaces for Ironic (a stand-in, {API}) and for the node ({NODE} on {NIC})"
        );
        let (server, node) = (Netns::new()?, Arc::new(Netns::new()?));
        node.join(NIC, &server, "server")?;
        server.ip(&format!("addr add {API}/20 dev server"))?;
        node.ip_lines(&format!("link set {NIC} address {MAC}\naddr add {NODE}/20 dev {NIC}"))?;
        let listener = server.enter(|| TcpListener::bind((API, 6385)))??;
        let behaviour = Behaviour {
            macs: vec![MAC.to_owned()],
            heartbeat_timeout: 5,
            require_tls: false,
            ..Behaviour::default()
        };
        let ironic = StandIn::start(listener, behaviour)?;
        // The daemon sends no heartbeat before an agent listens. This one knows no path, and no conductor calls it.
        let threads = Threads::default();
        agent::listen(&node, false, &threads)?;
        Ok(Self { node, ironic, binary: std::path::absolute(build::binary())?, _agent: threads })
    }

    fn sidecar(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = self.node.command(&self.binary).args(arguments).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// The agent of the seed, which takes its address from the text of `ip route get`.
    fn old_agent(&self, api_url: String) -> SeedIpa {
        SeedIpa::new(SeedOptions { macs: vec![MAC.to_owned()], ..SeedOptions::new(&self.node, api_url) })
    }

    fn the_failure(&self) -> anyhow::Result<()> {
        println!(
            "\n2. Without ipa-sidecar: an agent of 2016 takes its address from this text, behind the word src"
        );
        println!(
            "   {}",
            self.node.ip(&format!("route get {API}"))?.lines().next().unwrap_or_default().trim()
        );
        let mut agent = self.old_agent(self.ironic.url());
        agent.beat()?;
        let held = self.ironic.agent_url().context("the stand-in holds no URL")?;
        println!("   Ironic holds {held:?}");
        agent.set_advertise_host(NODE);
        let (status, answer) = agent.beat()?;
        println!("   and answers the right one with {status}: {}", fault(&answer));
        self.sidecar(&["check-url", &held])?.lines().for_each(|line| println!("   {line}"));
        self.ironic.power_cycle();
        Ok(())
    }

    fn the_guard(&self) -> anyhow::Result<()> {
        println!(
            "\n3. With ipa-sidecar run --mode guard beside the same agent, whose configuration stays as it is"
        );
        let directory = Scratch::new("demo")?;
        let url = format!("--ironic.api-url={}", self.ironic.url());
        let config = format!("--ipa.config-dir={}", directory.path().display());
        let flags = ["--mode=guard", &url, &config];
        let daemon = Daemon::start(&self.binary, &self.node, &flags)?;
        daemon.wait_address(Some(NODE), PATIENCE)?;
        daemon.wait_state("a redirect", PATIENCE, |state| {
            state.pointer("/guard/redirecting").and_then(serde_json::Value::as_bool) == Some(true)
        })?;
        println!(
            "   The kernel leads its connects to {API} through the guard, which carries them on to {API}"
        );
        let mut agent = self.old_agent(self.ironic.url());
        let sent = agent.advertised_url()?;
        agent.beat()?;
        println!("   The agent sends {sent:?}");
        self.wait_for(&daemon, NODE)?;
        println!(
            "   Ironic holds \"http://{NODE}:9999\": repaired before it was pinned, and at every heartbeat"
        );
        let drop_in = std::fs::read_to_string(directory.path().join("zz-ipa-sidecar.conf"))?;
        println!("   An agent that reads its configuration directory learns it beforehand:");
        drop_in.lines().filter(|line| line.contains(" = ")).for_each(|line| println!("     {line}"));
        self.ironic.power_cycle();
        Ok(())
    }

    fn the_first_heartbeat(&self) -> anyhow::Result<Daemon> {
        println!(
            "\n4. Without any agent: run --mode agent speaks for the node, from the address that the kernel names"
        );
        let url = format!("--ironic.api-url={}", self.ironic.url());
        let explained = self.sidecar(&["explain", "--no-vmedia", "--cmdline.path=/dev/null", &url])?;
        explained
            .lines()
            .filter(|line| line.starts_with("advertise") || line.starts_with("  yes"))
            .for_each(|line| println!("   {line}"));
        let started = Instant::now();
        let daemon = Daemon::start(&self.binary, &self.node, &["--mode=agent", &url])?;
        self.wait_for(&daemon, NODE)?;
        println!(
            "   {:.0} ms after its start Ironic holds http://{NODE}:9999",
            started.elapsed().as_secs_f64() * 1e3
        );
        Ok(daemon)
    }

    fn the_address_changes(&self, daemon: &Daemon) -> anyhow::Result<()> {
        println!("\n5. The address changes to {NEW}; Ironic has pinned the old one");
        let changed = Instant::now();
        self.node.ip_lines(&format!("addr flush dev {NIC}\naddr add {NEW}/20 dev {NIC}"))?;
        daemon.wait_address(Some(NEW), PATIENCE)?;
        println!("   {:.0} ms later the sidecar has decided: {NEW}", changed.elapsed().as_secs_f64() * 1e3);
        daemon.wait_state("stale", PATIENCE, |state| {
            state.pointer("/stale").is_some_and(|stale| !stale.is_null())
        })?;
        let ready = daemon.get("/-/ready")?;
        println!("   /-/ready ({}): {}", ready.status, ready.text().trim_end());
        println!("   The operator power-cycles the node through Ironic, which forgets URL and token:");
        self.ironic.power_cycle();
        self.wait_for(daemon, NEW)?;
        println!("   Ironic holds http://{NEW}:9999");
        Ok(())
    }

    fn wait_for(&self, daemon: &Daemon, address: &str) -> anyhow::Result<()> {
        let url = format!("http://{address}:9999");
        let recorded = || (self.ironic.agent_url().as_deref() == Some(&url)).then_some(());
        daemon
            .wait(&format!("Ironic holds {url}"), PATIENCE, recorded)
            .context("the demo does not show what it should")
    }

    fn end(self, mut daemon: Daemon) -> anyhow::Result<()> {
        let (status, duration) = daemon.terminate()?;
        if !status.success() {
            bail!("the daemon ended with {status}\n{}", daemon.log());
        }
        println!(
            "\nSIGTERM: ended with status 0 after {:.0} ms. Nothing is left behind.",
            duration.as_secs_f64() * 1e3
        );
        Ok(())
    }
}

/// The text in an error answer of Ironic's.
fn fault(answer: &str) -> String {
    let outer: Option<serde_json::Value> = serde_json::from_str(answer).ok();
    let inner = outer.as_ref().and_then(|outer| outer.get("error_message")?.as_str());
    let inner: Option<serde_json::Value> = inner.and_then(|inner| serde_json::from_str(inner).ok());
    let text = inner.as_ref().and_then(|inner| inner.get("faultstring")?.as_str());
    text.unwrap_or(answer).to_owned()
}
