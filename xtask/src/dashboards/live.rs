//! `cargo xtask dashboards`: real daemons in every kind of trouble, a real Prometheus, and whether the boards and the
//! alerts show what they should.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::bail;
use testbed::netns::Netns;

use super::check::{self, Tally};
use super::node::{self, Node, Threads};
use super::pictures;
use super::prometheus::{self, Prometheus};
use super::scenario::{Place, SCENARIOS};
use super::scratch::Scratch;
use super::{DIRECTORY, board::Board, rules};
use crate::bpf::Object;
use crate::{Missing, WrongUsage, build, prerequisites, process};

/// So long everything runs before the trouble that comes later.
const BEFORE_TROUBLE: Duration = Duration::from_secs(12);
/// So long it is looked at afterwards, at least: an alert that should not fire needs time to do it.
const AFTER_TROUBLE: Duration = Duration::from_secs(45);
/// The longest time that an alert is waited for.
const PATIENCE: Duration = Duration::from_secs(150);

/// What comes after the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The end.
    End,
    /// Everything stays up until Ctrl-C.
    Keep,
    /// Pictures are made.
    Pictures,
}

/// The command, with its flags.
///
/// # Errors
/// Without root, and where a panel, a variable, a legend or an alert is not as it should be.
pub fn command(flags: &[String]) -> anyhow::Result<()> {
    let then = match flags {
        [] => Then::End,
        [flag] if flag == "--keep" => Then::Keep,
        [flag] if flag == "--pictures" => Then::Pictures,
        other => {
            let words = format!("dashboards has one flag, --keep or --pictures, not {}", other.join(" "));
            return Err(WrongUsage(words).into());
        }
    };
    prerequisites::ensure()?;
    let checked = super::run()?;
    let shown = run(&Object::build()?, then)?;
    println!("\n{checked}\n{shown}");
    Ok(())
}

/// Runs it; the note counts what was checked.
///
/// # Errors
/// As [`command`].
pub fn run(object: &Object, then: Then) -> anyhow::Result<String> {
    if !testbed::is_root() {
        return Err(Missing("dashboards makes network namespaces, which needs root".to_owned()).into());
    }
    process::run(&mut build::command_with(object))?;
    let stage = Stage::new(&std::path::absolute(build::binary())?)?;
    let outcome = stage.watch().and_then(|()| stage.check());
    match (then, &outcome) {
        (Then::End, _) | (Then::Pictures, Err(_)) => return outcome,
        (_, Ok(note)) => println!("\n{note}"),
        (Then::Keep, Err(error)) => println!("\n{error:#}"),
    }
    let address = prometheus::forward(&stage.hub)?;
    match then {
        Then::Pictures => pictures::draw(address),
        _ => stage.keep(address),
    }
}

/// All nodes, and the Prometheus that scrapes them.
struct Stage {
    prometheus: Prometheus,
    nodes: Vec<(Place, Node)>,
    hub: Arc<Netns>,
    started: SystemTime,
    _threads: Threads,
    // Last: those go first that write into it.
    _scratch: Scratch,
}

impl Stage {
    fn new(binary: &Path) -> anyhow::Result<Self> {
        println!("\n{} nodes in network namespaces, each with the real daemon:", SCENARIOS.len());
        let (hub, scratch) = (Arc::new(Netns::new()?), Scratch::new()?);
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
        Ok(Self { prometheus, nodes, hub, started, _threads: threads, _scratch: scratch })
    }

    /// Waits until every alert fired that should, and long enough for the others.
    fn watch(&self) -> anyhow::Result<()> {
        println!("\nwaiting until every expected alert fires (a minute of the rules takes 2 s)");
        let began = Instant::now();
        loop {
            std::thread::sleep(Duration::from_secs(2));
            let fired = check::fired(&self.prometheus, self.started)?;
            let places = self.nodes.iter().map(|(place, _)| place);
            let missing: Vec<_> = places.flat_map(|place| check::missing(place.scenario, &fired)).collect();
            if (missing.is_empty() && began.elapsed() >= AFTER_TROUBLE) || began.elapsed() >= PATIENCE {
                println!("after {} s: {} not firing", began.elapsed().as_secs(), missing.len());
                return Ok(());
            }
        }
    }

    fn check(&self) -> anyhow::Result<String> {
        let mut tally = Tally::default();
        for name in ["fleet", "node"] {
            let board = Board::read(&Path::new(DIRECTORY).join(name).with_extension("json"))?;
            check::board(&board, &self.prometheus, self.started, &mut tally)?;
        }
        let text = std::fs::read_to_string(Path::new(DIRECTORY).join("alerts.yml"))?;
        let alerts = rules::alerts(&text)?;
        let names: Vec<_> = alerts.iter().map(|alert| alert.name.as_str()).collect();
        let fired = check::fired(&self.prometheus, self.started)?;
        check::table(&names, &fired, &mut tally);
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
                let log = daemon.log();
                let last: Vec<_> = log.lines().rev().take(15).collect();
                let last: Vec<_> = last.into_iter().rev().collect();
                println!("\nthe log of {}:\n{}", place.scenario.name, last.join("\n"));
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

/// An alert and the scenario in which it fired.
pub type Fired = BTreeSet<(String, String)>;
