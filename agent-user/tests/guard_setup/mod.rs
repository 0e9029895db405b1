//! A node with the guard and a network with Ironic: two namespaces, one wire. What the tests of the guard share.
#![allow(dead_code)] // Each test program uses its part.

pub mod raw;
pub mod systemd;
pub mod upstream;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use testbed::daemon::Daemon;
use testbed::http::{Http, Response};
use testbed::netns::Netns;
use testbed::stand_in::{Behaviour, Recorded, StandIn};

use raw::Raw;

pub const SIDECAR: &str = env!("CARGO_BIN_EXE_ipa-sidecar");
pub const MAC: &str = "52:54:00:aa:00:01";
pub const NODE: &str = "11111111-1111-4111-8111-111111111111";
pub const GUARD: &str = "127.0.0.1:6385";
pub const API: &str = "10.77.0.1:6385";
pub const API_FLAG: &str = "--ironic.api-url=http://10.77.0.1:6385";
/// The node's address, and the URL that is right for it.
pub const ADDRESS: &str = "10.77.0.2";
pub const URL: &str = "http://10.77.0.2:9999";
/// What the drop-in of [`ADDRESS`] puts before each path, and what that of another address would.
pub const PREFIX: &str = "/advertise/10.77.0.2";
pub const OLD_PREFIX: &str = "/advertise/10.77.0.9";
pub const SOON: Duration = Duration::from_secs(10);
/// IPA's time-out in the tests of silence, and when the guard must have gone silent.
pub const TIMEOUT_FLAG: &str = "--ironic.request-timeout=2s";
pub const SILENT_WITHIN: Duration = Duration::from_millis(1950);

/// Ironic with this node, whose heartbeats may be http.
pub fn behaviour() -> Behaviour {
    Behaviour {
        macs: vec![MAC.to_owned()],
        node_uuid: NODE.to_owned(),
        require_tls: false,
        heartbeat_timeout: 300,
        ..Behaviour::default()
    }
}

/// The two namespaces and IPA's configuration directory.
pub struct Site {
    pub node: Arc<Netns>,
    pub server: Arc<Netns>,
    pub directory: PathBuf,
}

impl Site {
    /// The node has its address.
    pub fn new(name: &str) -> Self {
        let site = Self::bare(name);
        site.node.ip("addr add 10.77.0.2/24 dev eth0.77").unwrap();
        site
    }

    /// The node has no address yet.
    pub fn bare(name: &str) -> Self {
        let (server, node) = (Arc::new(Netns::new().unwrap()), Arc::new(Netns::new().unwrap()));
        node.join("eth0.77", &server, "server").unwrap();
        server.ip("addr add 10.77.0.1/24 dev server").unwrap();
        node.ip(&format!("link set eth0.77 address {MAC}")).unwrap();
        let directory = std::env::temp_dir().join(format!("ipa-sidecar-guard-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        Self { node, server, directory }
    }

    pub fn listener(&self, address: &str) -> TcpListener {
        self.server.enter(|| TcpListener::bind(address).unwrap()).unwrap()
    }

    pub fn ironic(&self, behaviour: Behaviour) -> StandIn {
        StandIn::start(self.listener(API), behaviour).unwrap()
    }

    /// The flags of guard mode, for the API URL of the stand-in where `flags` name none.
    pub fn flags(&self, flags: &[&str]) -> Vec<String> {
        let config = format!("--ipa.config-dir={}", self.directory.display());
        let mut all: Vec<String> = vec!["--mode=guard".into(), "--ipa.api-url-list=always".into(), config];
        if !flags.iter().any(|flag| flag.starts_with("--ironic.api-url=")) {
            all.push(API_FLAG.into());
        }
        all.extend(flags.iter().map(|&flag| flag.to_owned()));
        all
    }

    pub fn daemon(&self, flags: &[&str]) -> Daemon {
        self.daemon_with(&[], flags)
    }

    /// With variables of its own.
    pub fn daemon_with(&self, variables: &[(&str, &str)], flags: &[&str]) -> Daemon {
        let mut command = self.node.command(SIDECAR);
        command.arg("run").args(Daemon::isolation()).args(self.flags(flags)).envs(variables.iter().copied());
        Daemon::from_command(command, &self.node).unwrap()
    }

    pub fn drop_in(&self) -> String {
        std::fs::read_to_string(self.directory.join("zz-ipa-sidecar.conf")).unwrap_or_default()
    }

    /// The guard, as IPA reaches it.
    pub fn http(&self) -> Http {
        Http::inside(&self.node, GUARD.parse::<SocketAddr>().unwrap())
    }

    /// A connection to the guard, byte by byte.
    pub fn raw(&self) -> Raw {
        Raw::connect(&self.node, GUARD)
    }

    pub fn lookup(&self, prefix: &str) -> Response {
        let path = format!("{prefix}/v1/lookup?addresses={MAC}");
        self.http().get(&path, &[("X-OpenStack-Ironic-API-Version", "1.62")]).unwrap()
    }

    /// A heartbeat over http.
    pub fn heartbeat(&self, url: &str, token: &str) -> Response {
        self.heartbeat_with(url, token, None)
    }

    /// A heartbeat with a certificate.
    pub fn heartbeat_with(&self, url: &str, token: &str, pem: Option<&str>) -> Response {
        let path = format!("{PREFIX}/v1/heartbeat/{NODE}");
        let mut body = json!({"callback_url": url, "agent_token": token, "agent_version": "13.0.0"});
        if let Some(pem) = pem {
            body["agent_verify_ca"] = pem.into();
        }
        self.http().post(&path, &[("X-OpenStack-Ironic-API-Version", "1.68")], &body).unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A site with a stand-in Ironic and a running daemon.
pub struct Lab {
    pub daemon: Daemon,
    pub ironic: StandIn,
    pub site: Site,
}

impl std::ops::Deref for Lab {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl Lab {
    /// With its drop-in written.
    pub fn new(name: &str, flags: &[&str]) -> Self {
        Self::with(name, behaviour(), flags)
    }

    pub fn with(name: &str, behaviour: Behaviour, flags: &[&str]) -> Self {
        let site = Site::new(name);
        let ironic = site.ironic(behaviour);
        let daemon = site.daemon(flags);
        daemon.wait_log("IPA's drop-in changed", SOON).unwrap();
        Self { daemon, ironic, site }
    }

    /// IPA's first lookup; gives the token.
    pub fn token(&self) -> String {
        token(&self.lookup(PREFIX))
    }

    pub fn metric(&self, sample: &str) -> f64 {
        metric(&self.daemon, sample)
    }

    /// What IPA sent that came through: `sender="ipa"`.
    pub fn beats(&self, result: &str) -> f64 {
        self.metric(&format!("heartbeats_total{{result=\"{result}\",sender=\"ipa\"}}"))
    }

    pub fn lookups(&self, sender: &str, result: &str) -> f64 {
        self.metric(&format!("lookup_attempts_total{{result=\"{result}\",sender=\"{sender}\"}}"))
    }

    pub fn bad(&self, source: &str, action: &str) -> f64 {
        self.metric(&format!("bad_agent_url_total{{action=\"{action}\",source=\"{source}\"}}"))
    }

    pub fn wait_metric(&self, sample: &str, value: f64) {
        self.daemon
            .wait(&format!("{sample} {value}"), SOON, || (self.metric(sample) == value).then_some(()))
            .unwrap();
    }
}

pub fn metric(daemon: &Daemon, sample: &str) -> f64 {
    daemon.metric(sample).unwrap().unwrap_or_default()
}

/// The token in the answer to a first lookup.
pub fn token(answer: &Response) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let token = answer.json().unwrap()["config"]["agent_token"].as_str().unwrap().to_owned();
    assert_eq!(token.len(), 43, "{token}");
    token
}

/// The text that IPA shows of an error: JSON in a string in JSON.
pub fn fault(answer: &Response) -> String {
    let outer = answer.json().unwrap();
    let inner: serde_json::Value = serde_json::from_str(outer["error_message"].as_str().unwrap()).unwrap();
    assert_eq!(inner["faultcode"], "Client");
    inner["faultstring"].as_str().unwrap().to_owned()
}

/// The requests that reached Ironic on this path.
pub fn seen(ironic: &StandIn, path: &str) -> Vec<Recorded> {
    let requests = ironic.requests().into_iter();
    requests.filter(|request| request.path() == path).collect()
}

/// Status and words of readiness.
pub fn ready(daemon: &Daemon) -> (u16, String) {
    let answer = daemon.get("/-/ready").unwrap();
    (answer.status, answer.text())
}

/// The words of what the guard did, newest last.
pub fn events(daemon: &Daemon) -> Vec<String> {
    let state = daemon.state().unwrap();
    let events = state["guard"]["events"].as_array().unwrap().clone();
    events.iter().map(|event| event["what"].as_str().unwrap().to_owned()).collect()
}
