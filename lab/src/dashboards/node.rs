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
use testbed::site::{AgentProcess, Directory, Proxy, ipa_unit, program_with_etc};
use testbed::stand_in::StandIn;

use super::scenario::{Agent, PROXY, Place, Scenario, TOKEN};
use crate::agent::{self, Threads};
use crate::owned::Scratch;

/// The port of the API, and that of the proxy.
const API_PORT: u16 = 6385;
const PROXY_PORT: u16 = 3128;
/// How often the agents heartbeat and the conductor calls back.
const PACE: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(60);

/// What a process of IPA's is started to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// The directory of the drop-in.
    Dropin,
    /// What it reads by itself.
    Others,
}

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
    agent: Option<AgentProcess>,
    proxy: Option<Proxy>,
    /// What is `/etc` to the daemon.
    etc: Option<Directory>,
    scenario: &'static Scenario,
    number: u8,
}

impl Node {
    /// Makes the namespace, its two wires, Ironic and the agent's port.
    ///
    /// # Errors
    /// Where a namespace, a device or a port cannot be made.
    pub fn new(place: &Place, hub: &Arc<Netns>, scratch: &Scratch) -> anyhow::Result<Self> {
        let (number, scenario) = (place.number, place.scenario);
        let nic = scenario.nic;
        let netns = Arc::new(Netns::new()?);
        netns.join(nic, hub, &format!("node{number}"))?;
        netns.join("scrape", hub, &format!("scrape{number}"))?;
        hub.ip(&format!("addr add 10.77.{number}.1/24 dev node{number}"))?;
        hub.ip(&format!("addr add 10.78.{number}.1/30 dev scrape{number}"))?;
        netns.ip(&format!("addr add {}/24 dev {nic}", address(number, 5)))?;
        netns.ip(&format!("addr add {}/30 dev scrape", place.scrape_address()))?;
        let ironic = match scenario.ironic {
            Some(behaviour) => {
                let listener = hub.enter(|| TcpListener::bind((address(number, 1), API_PORT)))??;
                Some(StandIn::start(listener, behaviour())?)
            }
            None => None,
        };
        let directory = scratch.directory(scenario.name)?;
        let (hub, etc) = (Arc::clone(hub), scenario.unit.map(|_| Directory::new("dashboards-etc")));
        let (daemon, agent, proxy) = (None, None, None);
        let node = Self { hub, netns, daemon, ironic, directory, agent, proxy, etc, scenario, number };
        if let Some(etc) = &node.etc {
            ipa_unit(etc, &borrowed(&node.variables()));
        }
        Ok(node)
    }

    /// The variables of IPA's unit.
    fn variables(&self) -> Vec<(&'static str, String)> {
        let proxy = SocketAddr::new(address(self.number, 1), PROXY_PORT).to_string();
        let variables = self.scenario.unit.unwrap_or_default().iter();
        variables.map(|(name, value)| (*name, value.replace(PROXY, &proxy))).collect()
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
        let daemon = self.start_daemon(place.scenario, binary)?;
        if matches!(agent, Agent::Good | Agent::Seed) {
            // An agent whose version discovery fails takes the API for 1.31, and asks for no token: once, for its whole life.
            daemon.wait_state("a guard that redirects", PATIENCE, |state| {
                state.pointer("/guard/redirecting").and_then(Value::as_bool) == Some(true)
            })?;
            let mut options =
                SeedOptions::new(&self.netns, format!("http://{}:{API_PORT}", address(self.number, 1)));
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

    /// Kills the daemon and starts it again, in the middle of whatever goes on.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn restart_daemon(&mut self, scenario: &Scenario, binary: &Path) -> anyhow::Result<()> {
        self.daemon = None;
        self.start_daemon(scenario, binary).map(drop)
    }

    fn start_daemon(&mut self, scenario: &Scenario, binary: &Path) -> anyhow::Result<&Daemon> {
        let mut command = match (&self.etc, scenario.unprivileged) {
            (Some(etc), _) => program_with_etc(&self.netns, etc.path(), binary),
            (None, false) => self.netns.command(binary),
            (None, true) => unprivileged(&self.netns, binary),
        };
        let token = self.directory.join("token");
        std::fs::write(&token, TOKEN)?;
        let api = scenario.elsewhere.map_or_else(|| address(self.number, 1).to_string(), str::to_owned);
        command
            .args(["run", "--web.listen-address=0.0.0.0:10099", "--cmdline.path=/dev/null", "--no-vmedia"])
            .arg(format!("--ironic.api-url=http://{api}:{API_PORT}"))
            .arg(format!("--ipa.config-dir={}", self.directory.display()))
            .args(scenario.flags.iter().map(|flag| flag.replace("TOKEN", &token.to_string_lossy())));
        Ok(self.daemon.insert(Daemon::from_command(command, &self.netns)?))
    }

    /// A process of IPA's begins, with the environment of its unit; through the proxy where that names one.
    ///
    /// # Errors
    /// Where there is no drop-in.
    pub fn begin_agent(&mut self, reads: Reads, variables: &[(&str, &str)]) -> anyhow::Result<()> {
        self.begin(address(self.number, 1), reads, variables)
    }

    /// The same, and it knows another address of the API.
    ///
    /// # Errors
    /// As [`Node::begin_agent`], and where the hub cannot have that address.
    pub fn begin_agent_elsewhere(&mut self) -> anyhow::Result<()> {
        let (there, device) = (address(self.number, 2), format!("node{}", self.number));
        self.hub.ip(&format!("addr add {there}/24 dev {device}"))?;
        self.pass_on(SocketAddr::new(there, API_PORT));
        self.begin(there, Reads::Dropin, &[])
    }

    fn begin(&mut self, api: IpAddr, reads: Reads, variables: &[(&str, &str)]) -> anyhow::Result<()> {
        let daemon = self.daemon.as_ref().context("no daemon")?;
        let is_written = |state: &Value| state.pointer("/dropin/state").is_some_and(|it| it == "written");
        daemon.wait_state("a drop-in", PATIENCE, is_written)?;
        let of_unit = self.variables();
        if of_unit.iter().any(|(name, _)| *name == "HTTP_PROXY") {
            self.pass_on(SocketAddr::new(address(self.number, 1), PROXY_PORT));
        }
        let directory = self.directory.to_string_lossy().into_owned();
        let given = ["--config-dir", &directory];
        let arguments = if reads == Reads::Dropin { &given[..] } else { &[] };
        let variables = [variables, &borrowed(&of_unit)].concat();
        let api = format!("http://{api}:{API_PORT}");
        self.agent = Some(AgentProcess::start(&self.netns, &api, arguments, &variables));
        Ok(())
    }

    /// Everything that comes here goes to Ironic.
    fn pass_on(&mut self, from: SocketAddr) {
        let ironic = SocketAddr::new(address(self.number, 1), API_PORT);
        self.proxy = Some(Proxy::start(&self.hub, from, ironic));
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
        let (new, nic) = (address(self.number, 6), self.scenario.nic);
        Ok(self.netns.ip_lines(&format!("addr flush dev {nic}\naddr add {new}/24 dev {nic}"))?)
    }
}

fn borrowed<'a>(variables: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    variables.iter().map(|(name, value)| (*name, value.as_str())).collect()
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
