//! Nodes that may look as if IPA passed the daemon by, and on which all is well.

use std::path::Path;
use std::time::Instant;

use serde_json::Value;

use super::{
    API_FLAG, AgentProcess, FIRST, LATER, MORE_THAN_A_TICK, NODE, SECOND, SOON, Site, TOKEN, node_with_mac,
    pregenerated, ready, wait_drop_in,
};
use crate::daemon::Daemon;
use crate::stand_in::{Behaviour, StandIn};

/// An address that is the operator's word, as that of a NAT (RFC 6598).
const OUTSIDE: &str = "100.64.0.9";
/// Where Ironic answers.
const API_URL: &str = "http://10.77.0.1:6385";

/// A node, its daemon in mode configure, its IPA and its Ironic.
#[derive(Debug)]
pub struct Sound {
    /// What is special about it.
    pub name: &'static str,
    /// The callback URL that Ironic is to get.
    host: &'static str,
    /// The daemon.
    pub daemon: Daemon,
    /// Ironic.
    pub ironic: StandIn,
    _agent: AgentProcess,
    _site: Site,
}

impl Sound {
    /// All of them; each has sent its first heartbeat.
    pub fn all(binary: &Path) -> Vec<Self> {
        let nodes = vec![
            Self::long_timeout(binary),
            Self::restarted(binary),
            Self::older_agent(binary),
            Self::fast_track(binary),
            Self::outside(binary),
        ];
        for node in &nodes {
            let beats = || (node.ironic.heartbeats() > 0).then_some(());
            node.daemon.wait(node.name, LATER, beats).unwrap();
        }
        nodes
    }

    /// Between two heartbeats lie up to 36 minutes.
    fn long_timeout(binary: &Path) -> Self {
        let site = Site::new();
        let ironic = site.ironic(Behaviour { heartbeat_timeout: 3600, ..node_with_mac() });
        let daemon = configure(&site, binary, &[], FIRST);
        let agent = agent(&site, &[]);
        Self { name: "heartbeat_timeout 3600", host: FIRST, daemon, ironic, _agent: agent, _site: site }
    }

    /// The daemon begins again after the lookup, and has not seen it.
    fn restarted(binary: &Path) -> Self {
        let site = Site::new();
        let ironic = site.ironic(node_with_mac());
        let mut daemon = configure(&site, binary, &[], FIRST);
        let agent = agent(&site, &[]);
        daemon.wait("a heartbeat", LATER, || (ironic.heartbeats() > 0).then_some(())).unwrap();
        daemon.terminate().unwrap();
        let daemon = configure(&site, binary, &[], FIRST);
        Self { name: "daemon restarted", host: FIRST, daemon, ironic, _agent: agent, _site: site }
    }

    /// IPA began before there was a drop-in, and has chosen another address.
    fn older_agent(binary: &Path) -> Self {
        let site = Site::new();
        site.add(SECOND);
        site.prefer(SECOND);
        let ironic = site.ironic(node_with_mac());
        let agent = agent(&site, &[]);
        let began = Instant::now();
        while ironic.heartbeats() == 0 {
            assert!(began.elapsed() < LATER, "{}", agent.log());
            std::thread::sleep(MORE_THAN_A_TICK);
        }
        site.prefer(FIRST);
        let daemon = start(&site, binary, &[]);
        Self { name: "IPA older than the daemon", host: SECOND, daemon, ironic, _agent: agent, _site: site }
    }

    /// IPA stays from one deployment to the next, and never looks up.
    fn fast_track(binary: &Path) -> Self {
        let site = Site::new();
        let ironic = site.ironic(pregenerated());
        let daemon = configure(&site, binary, &[], FIRST);
        let agent = agent(&site, &[("TEST_NO_LOOKUP", &format!("{NODE} {TOKEN}"))]);
        Self { name: "fast track", host: FIRST, daemon, ironic, _agent: agent, _site: site }
    }

    /// The operator gives the address under which the node is known outside.
    fn outside(binary: &Path) -> Self {
        let site = Site::new();
        let ironic = site.ironic(node_with_mac());
        let daemon = configure(&site, binary, &[&format!("--advertise.host={OUTSIDE}")], OUTSIDE);
        let agent = agent(&site, &[]);
        Self { name: "the operator's NAT address", host: OUTSIDE, daemon, ironic, _agent: agent, _site: site }
    }

    /// Whether the daemon is ready, says that it is not passed by, and has never said otherwise.
    ///
    /// # Errors
    /// What it says.
    pub fn is_sound(&self) -> Result<(), String> {
        let (status, text) = ready(&self.daemon);
        let state = self.daemon.state().unwrap_or_default();
        let metrics = self.daemon.get("/metrics").map(|answer| answer.text()).unwrap_or_default();
        let mut series = metrics.lines().filter(|line| line.starts_with("ipa_sidecar_passed_by_info{"));
        let fault = match () {
            () if status != 200 => format!("not ready: {text}"),
            () if state.get("passed_by") != Some(&Value::Null) => format!("passed by: {state}"),
            () if !series.all(|line| line.ends_with(" 0")) => format!("a metric says so: {metrics}"),
            () if self.daemon.log().contains("passes us by") => self.daemon.log(),
            () => return self.has_url(),
        };
        Err(format!("{}: {fault}", self.name))
    }

    fn has_url(&self) -> Result<(), String> {
        let (held, wanted) = (self.ironic.agent_url(), format!("http://{}:9999", self.host));
        match held.as_deref() == Some(wanted.as_str()) {
            true => Ok(()),
            false => Err(format!("{}: Ironic holds {held:?}, and not {wanted}", self.name)),
        }
    }
}

fn start(site: &Site, binary: &Path, more: &[&str]) -> Daemon {
    let directory = site.directory.config_dir();
    let flags = [&["--mode=configure", API_FLAG, &directory], more].concat();
    Daemon::start(binary, &site.node, &flags).unwrap()
}

/// The daemon, and its drop-in on disk.
fn configure(site: &Site, binary: &Path, more: &[&str], host: &str) -> Daemon {
    let daemon = start(site, binary, more);
    wait_drop_in(&daemon, host, SOON);
    std::thread::sleep(MORE_THAN_A_TICK);
    daemon
}

/// IPA, which reads the drop-in.
fn agent(site: &Site, variables: &[(&str, &str)]) -> AgentProcess {
    let directory = site.directory.path().to_str().unwrap();
    AgentProcess::start(&site.node, API_URL, &["--config-dir", directory], variables)
}
