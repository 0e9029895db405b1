//! A node in its namespace, with the real daemon, an agent, and an Ironic at the other end of the wire.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use testbed::daemon::Daemon;
use testbed::netns::Netns;
use testbed::seed_ipa::{SeedIpa, SeedOptions};
use testbed::site::IpaProcess;
use testbed::stand_in::StandIn;

use super::scenario::{Agent, Place, TOKEN};
use crate::agent::{self, Threads};
use crate::owned::Scratch;

/// A lookup counts names that end like a VLAN's as NICs.
const NIC: &str = "eth0.77";
/// How often the agents heartbeat and the conductor calls back.
const PACE: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(60);

/// Everything of one scenario; it ends when dropped.
pub struct Node {
    /// Where Ironic and Prometheus are.
    pub hub: Arc<Netns>,
    /// Where the daemon is.
    pub netns: Arc<Netns>,
    /// The daemon.
    pub daemon: Option<Daemon>,
    /// Ironic.
    pub ironic: Option<StandIn>,
    /// Its files.
    pub directory: PathBuf,
    /// A process of IPA's.
    agent: Option<IpaProcess>,
    number: u8,
}

impl Node {
    /// Makes the namespace, its two wires, Ironic and the agent's port.
    ///
    /// # Errors
    /// Where a namespace, a device or a port cannot be made.
    pub fn new(place: &Place, hub: &Arc<Netns>, scratch: &Scratch) -> anyhow::Result<Self> {
        let number = place.number;
        let netns = Arc::new(Netns::new()?);
        netns.join(NIC, hub, &format!("node{number}"))?;
        netns.join("scrape", hub, &format!("scrape{number}"))?;
        hub.ip(&format!("addr add 10.77.{number}.1/24 dev node{number}"))?;
        hub.ip(&format!("addr add 10.78.{number}.1/30 dev scrape{number}"))?;
        netns.ip(&format!("addr add {}/24 dev {NIC}", address(number, 5)))?;
        netns.ip(&format!("addr add {}/30 dev scrape", place.scrape_address()))?;
        let ironic = match place.scenario.ironic {
            Some(behaviour) => {
                let listener = hub.enter(|| TcpListener::bind((address(number, 1), 6385)))??;
                Some(StandIn::start(listener, behaviour())?)
            }
            None => None,
        };
        let directory = scratch.directory(place.scenario.name)?;
        Ok(Self { hub: Arc::clone(hub), netns, daemon: None, ironic, directory, agent: None, number })
    }

    /// Starts the daemon and who is beside it.
    ///
    /// # Errors
    /// Where one cannot be started.
    pub fn start(&mut self, place: &Place, binary: &Path, threads: &Threads) -> anyhow::Result<()> {
        let agent = place.scenario.agent;
        if agent != Agent::None {
            agent::listen(&self.netns, agent != Agent::Listens, threads)?;
        }
        let mut command = match place.scenario.unprivileged {
            false => self.netns.command(binary),
            true => unprivileged(&self.netns, binary),
        };
        let token = self.directory.join("token");
        std::fs::write(&token, TOKEN)?;
        let api = place.scenario.elsewhere.map_or_else(|| address(self.number, 1).to_string(), str::to_owned);
        command
            .args(["run", "--web.listen-address=0.0.0.0:10099", "--cmdline.path=/dev/null", "--no-vmedia"])
            .arg(format!("--ironic.api-url=http://{api}:6385"))
            .arg(format!("--ipa.config-dir={}", self.directory.display()))
            .args(place.scenario.flags.iter().map(|flag| flag.replace("TOKEN", &token.to_string_lossy())));
        let daemon = self.daemon.insert(Daemon::from_command(command, &self.netns)?);
        if matches!(agent, Agent::Good | Agent::Seed) {
            // An agent whose version discovery fails takes the API for 1.31, and asks for no token: once, for its whole life.
            daemon.wait_state("a guard that redirects", PATIENCE, |state| {
                state.pointer("/guard/redirecting").and_then(Value::as_bool) == Some(true)
            })?;
            let mut options =
                SeedOptions::new(&self.netns, format!("http://{}:6385", address(self.number, 1)));
            if agent == Agent::Good {
                options.advertise_host = Some(address(self.number, 5).to_string());
            }
            // It decides on its address once, and what fails is tried again.
            let (mut agent, mut is_new) = (SeedIpa::new(options), true);
            threads.repeat(move || {
                if std::mem::take(&mut is_new) {
                    let _ = agent.advertised_url();
                }
                let _ = agent.beat();
                std::thread::sleep(PACE);
            });
        }
        Ok(())
    }

    /// An agent begins that was not given the directory of the drop-in.
    pub fn begin_agent_without_arguments(&mut self) {
        self.agent = Some(IpaProcess::start(&self.netns));
    }

    /// Where the conductor calls back.
    pub fn callback(&self) -> SocketAddr {
        (address(self.number, 5), agent::PORT).into()
    }

    /// Waits until Ironic has accepted a heartbeat of this node.
    ///
    /// # Errors
    /// Where it does not within a minute.
    pub fn accepted(&self) -> anyhow::Result<()> {
        let daemon = self.daemon.as_ref().context("no daemon")?;
        let is_pinned = |state: &Value| state.get("pinned_url").is_some_and(Value::is_string);
        daemon.wait_state("an accepted heartbeat", PATIENCE, is_pinned)?;
        Ok(())
    }

    /// The node's address changes, after Ironic has pinned the first.
    ///
    /// # Errors
    /// What `ip` said, and of [`Node::accepted`].
    pub fn change_address(&mut self) -> anyhow::Result<()> {
        self.accepted()?;
        let new = address(self.number, 6);
        Ok(self.netns.ip_lines(&format!("addr flush dev {NIC}\naddr add {new}/24 dev {NIC}"))?)
    }
}

fn address(number: u8, host: u8) -> IpAddr {
    IpAddr::from([10, 77, number, host])
}

/// The daemon as nobody, without any capability. The file is opened as root: nobody may not be let into its directory.
fn unprivileged(netns: &Netns, binary: &Path) -> Command {
    let script = "exec 9<\"$0\" && exec setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all \
                  --bounding-set=-all --no-new-privs --pdeathsig KILL -- /proc/self/fd/9 \"$@\"";
    let mut command = netns.command("sh");
    command.args(["-c", script]).arg(binary);
    command
}

/// The conductor: connects to every agent, again and again.
pub fn call_back(hub: &Arc<Netns>, agents: Vec<SocketAddr>, threads: &Threads) {
    let hub = Arc::clone(hub);
    threads.repeat(move || {
        for agent in &agents {
            let _ = hub.enter(|| call(agent));
        }
        std::thread::sleep(PACE);
    });
}

fn call(agent: &SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(agent, Duration::from_millis(200))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"GET /v1/commands/ HTTP/1.0\r\n\r\n")?;
    stream.read_to_end(&mut Vec::new()).map(drop)
}
