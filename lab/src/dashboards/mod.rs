//! `cargo lab dashboards`: real daemons in every kind of trouble, a real Prometheus, and whether the boards and the
//! alerts show what they should.

mod check;
mod fleet;
mod node;
mod pictures;
mod prometheus;
mod quick;
mod scenario;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::bail;
use testbed::netns::Netns;
use xtask::dashboards::board::Board;
use xtask::dashboards::{DIRECTORY, rules};
use xtask::prerequisites::{self, Purpose};
use xtask::{build, process};

use crate::agent::Threads;
use crate::owned::Scratch;
use check::Tally;
use node::Node;
use prometheus::Prometheus;
use scenario::{Place, SCENARIOS};

/// So long everything runs before the trouble that comes later.
const BEFORE_TROUBLE: Duration = Duration::from_secs(12);
/// So long it is looked at after the restarts: an alert that should not fire needs time to do it.
const AFTER_RESTART: Duration = Duration::from_secs(45);
/// The longest time that an alert is waited for.
const PATIENCE: Duration = Duration::from_secs(150);

/// What the command line can say.
#[derive(clap::Args)]
pub struct Flags {
    /// Leave all of it up until Ctrl-C
    #[arg(long, conflicts_with = "pictures")]
    keep: bool,
    /// Draw the boards into docs/img (npm, Chromium, 600 MB)
    #[arg(long)]
    pictures: bool,
    /// Only what `ipa-fleet` shows: its row of the board, and its alerts
    #[arg(long, conflicts_with_all = ["keep", "pictures"])]
    fleet: bool,
}

/// Checks the files, then with data; the last line counts what was checked.
///
/// # Errors
/// Without root, and where a panel, a variable, a legend or an alert is not as it should be.
pub fn run(flags: &Flags) -> anyhow::Result<()> {
    prerequisites::ensure(Purpose::Test)?;
    let checked = xtask::dashboards::run()?;
    prerequisites::ensure_root("dashboards")?;
    if flags.fleet {
        println!("\n{checked}\n{}", fleet_only()?);
        return Ok(());
    }
    let binary = build::release()?;
    let mut stage = Stage::new(&binary)?;
    let outcome = stage.watch().and_then(|()| stage.restart(&binary));
    let outcome = outcome.and_then(|()| fleet::run(&stage.hub, &stage.prometheus, &stage.scratch));
    let outcome = outcome.and_then(|fleet| Ok(format!("{}\n{fleet}", stage.check()?)));
    let shown = match (flags, outcome) {
        (Flags { keep: true, .. }, outcome) => {
            println!("\n{}", outcome.unwrap_or_else(|error| format!("{error:#}")));
            stage.keep(prometheus::forward(&stage.hub)?);
        }
        (Flags { pictures: true, .. }, Ok(note)) => {
            println!("\n{note}");
            pictures::draw(prometheus::forward(&stage.hub)?)?
        }
        (_, outcome) => outcome?,
    };
    println!("\n{checked}\n{shown}");
    Ok(())
}

/// What `ipa-fleet` shows, without any node.
fn fleet_only() -> anyhow::Result<String> {
    let (hub, scratch) = (Arc::new(Netns::new()?), Scratch::new("dashboards")?);
    let started = SystemTime::now();
    let prometheus = Prometheus::start(&hub, Path::new(DIRECTORY), &[], &scratch)?;
    let fired = fleet::run(&hub, &prometheus, &scratch)?;
    let mut tally = Tally::default();
    let board = Board::read(&Path::new(DIRECTORY).join("fleet.json"))?;
    check::board(&board, &prometheus, started, Some("$fleet"), &mut tally)?;
    if !tally.wrong.is_empty() {
        bail!("{} wrong:\n  {}", tally.wrong.len(), tally.wrong.join("\n  "));
    }
    Ok(format!("{tally}\n{fired}"))
}

/// All nodes, and the Prometheus that scrapes them.
struct Stage {
    prometheus: Prometheus,
    nodes: Vec<(Place, Node)>,
    hub: Arc<Netns>,
    started: SystemTime,
    _threads: Threads,
    // Last: those go first that write into it.
    scratch: Scratch,
}

impl Stage {
    fn new(binary: &Path) -> anyhow::Result<Self> {
        println!("\n{} nodes in network namespaces, each with the real daemon:", SCENARIOS.len());
        let (hub, scratch) = (Arc::new(Netns::new()?), Scratch::new("dashboards")?);
        let (started, threads) = (SystemTime::now(), Threads::default());
        let mut nodes = Vec::new();
        for (number, scenario) in (1..).zip(&SCENARIOS) {
            let place = Place { scenario, number };
            let node = Node::new(&place, &hub, &scratch)?;
            (scenario.before)(&node)?;
            nodes.push((place, node));
        }
        let places: Vec<_> = nodes.iter().map(|(place, _)| place).collect();
        // It is there before the daemons are: no alert may fire because of how they start.
        let prometheus = Prometheus::start(&hub, Path::new(DIRECTORY), &places, &scratch)?;
        for (place, node) in &mut nodes {
            node.start(place, binary, &threads)?;
            println!("  {:2} {:20} {}", place.number, place.scenario.name, place.scenario.flags.join(" "));
        }
        let called = nodes.iter().filter(|(place, _)| place.scenario.calls_back);
        node::call_back(&hub, called.map(|(_, node)| node.callback()).collect(), &threads);
        std::thread::sleep(BEFORE_TROUBLE);
        for (place, node) in &mut nodes {
            (place.scenario.then)(node)?;
        }
        Ok(Self { prometheus, nodes, hub, started, _threads: threads, scratch })
    }

    /// Waits until every alert fired that should.
    fn watch(&self) -> anyhow::Result<()> {
        println!("\nwaiting until every expected alert fires (a minute of the rules takes 2 s)");
        let began = Instant::now();
        loop {
            std::thread::sleep(Duration::from_secs(2));
            let fired = check::fired(&self.prometheus, self.started)?;
            let places = self.nodes.iter().map(|(place, _)| place);
            let missing: Vec<_> = places.flat_map(|place| check::missing(place.scenario, &fired)).collect();
            if missing.is_empty() || began.elapsed() >= PATIENCE {
                println!("after {} s: {} not firing", began.elapsed().as_secs(), missing.len());
                return Ok(());
            }
        }
    }

    /// Kills every daemon in the middle of its trouble and starts it again; then waits long enough for an alert that should
    /// not fire.
    fn restart(&mut self, binary: &Path) -> anyhow::Result<()> {
        let is_there = |place: &Place| !place.scenario.alerts.contains(&"IpaSidecarDown");
        for (place, node) in self.nodes.iter_mut().filter(|(place, _)| is_there(place)) {
            node.restart_daemon(place.scenario, binary)?;
        }
        let restarted = SystemTime::now();
        println!("every daemon was killed and started again");
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_secs(2));
            let fired = check::fired(&self.prometheus, restarted)?;
            let is_settled = self.nodes.iter().all(|(Place { scenario, .. }, _)| {
                let fires = |alert: &str| fired.contains(&(alert.to_owned(), scenario.name.to_owned()));
                scenario.after_restart.iter().all(|alert| fires(alert))
                    && (scenario.passed_by.is_none() || fires("IpaSidecarPassedBy"))
            });
            if is_settled && began.elapsed() >= AFTER_RESTART {
                break;
            }
        }
        println!("after {} s more it is looked at", began.elapsed().as_secs());
        Ok(())
    }

    fn check(&self) -> anyhow::Result<String> {
        let mut tally = Tally::default();
        for name in ["fleet", "node"] {
            let board = Board::read(&Path::new(DIRECTORY).join(name).with_extension("json"))?;
            check::board(&board, &self.prometheus, self.started, None, &mut tally)?;
        }
        let text = std::fs::read_to_string(Path::new(DIRECTORY).join("alerts.yml"))?;
        let alerts = rules::alerts(&text)?;
        let names: Vec<_> = alerts.iter().map(|alert| alert.name.as_str()).collect();
        let fired = check::fired(&self.prometheus, self.started)?;
        check::table(&names, &fired, &mut tally);
        check::passed_by(&self.nodes, &self.prometheus, self.started, &mut tally)?;
        if !tally.wrong.is_empty() {
            self.show_logs(&tally);
            bail!("{} wrong:\n  {}", tally.wrong.len(), tally.wrong.join("\n  "));
        }
        Ok(tally.to_string())
    }

    /// What the daemons of the scenarios say in which an alert is wrong.
    fn show_logs(&self, tally: &Tally) {
        for (place, node) in &self.nodes {
            if let (true, Some(daemon)) = (tally.scenarios.contains(place.scenario.name), &node.daemon) {
                println!("\nthe log of {}:\n{}", place.scenario.name, process::last_lines(&daemon.log(), 15));
            }
        }
    }

    fn keep(&self, address: SocketAddr) -> ! {
        println!("\nEverything stays up until Ctrl-C.");
        println!("Prometheus, for a browser or a data source of Grafana's: http://{address}/alerts");
        println!("A node, for example its page (the others: the same with another pid):");
        for (place, node) in &self.nodes {
            println!(
                "  {:20} nsenter --net=/proc/{}/ns/net curl -s http://127.0.0.1:10099/",
                place.scenario.name,
                node.netns.pid()
            );
        }
        loop {
            std::thread::park();
        }
    }
}
