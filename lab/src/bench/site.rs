//! A node with the daemon in mode guard, and a network with a stand-in Ironic.

use std::net::TcpListener;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use testbed::daemon::Daemon;
use testbed::http::Http;
use testbed::netns::Netns;
use testbed::stand_in::{Behaviour, StandIn};

use super::{Bench, PATIENCE};
use crate::owned::Scratch;

/// Where Ironic listens: who connects there from the node is led through the guard.
pub const IRONIC: &str = "10.77.0.1:6385";
/// A stopped guard is passed by after this (agent-ebpf, `STAMP_LIFETIME`), and a little more.
const STAMP_LIFETIME: Duration = Duration::from_millis(2300);
const MAC: &str = "52:54:00:aa:00:01";
const HEADERS: &str = "Host: x\r\nX-OpenStack-Ironic-API-Version: 1.68\r\nConnection: close";

/// All of it; the daemon has let a first lookup and a first heartbeat pass.
pub struct Site {
    pub node: Arc<Netns>,
    pub daemon: Daemon,
    token: String,
    uuid: String,
    _ironic: StandIn,
    _server: Netns,
    _directory: Scratch,
}

impl Site {
    /// Starts all of it.
    ///
    /// # Errors
    /// Where a part does not start.
    pub fn new(bench: &Bench, name: &str) -> anyhow::Result<Self> {
        Self::with(bench, name, &[])
    }

    /// The same, with further flags of the daemon's.
    ///
    /// # Errors
    /// As [`Site::new`].
    pub fn with(bench: &Bench, name: &str, flags: &[&str]) -> anyhow::Result<Self> {
        let (node, server) = (Arc::new(Netns::new()?), Netns::new()?);
        node.join("eth0.77", &server, "server")?;
        server.ip("addr add 10.77.0.1/24 dev server")?;
        node.ip(&format!("link set eth0.77 address {MAC}"))?;
        node.ip("addr add 10.77.0.2/24 dev eth0.77")?;
        let behaviour = Behaviour { macs: vec![MAC.to_owned()], ..Behaviour::default() };
        let uuid = behaviour.node_uuid.clone();
        let ironic = StandIn::start(server.enter(|| TcpListener::bind(IRONIC))??, behaviour)?;
        let directory = Scratch::new(name)?;
        let config = format!("--ipa.config-dir={}", directory.path().display());
        let api = format!("--ironic.api-url=http://{IRONIC}");
        let daemon =
            Daemon::start(&bench.binary, &node, &[&["--mode=guard", &config, &api], flags].concat())?;
        daemon.wait_log("IPA's drop-in changed", PATIENCE)?;
        daemon.wait_state("a redirect", PATIENCE, redirects)?;
        let http = Http::inside(&node, IRONIC.parse()?);
        let version = [("X-OpenStack-Ironic-API-Version", "1.68")];
        let answer = http.get(&format!("/v1/lookup?addresses={MAC}"), &version)?.json()?;
        let token = answer.pointer("/config/agent_token").and_then(Value::as_str).context("no token")?;
        let token = token.to_owned();
        let body = heartbeat_body(&token).parse()?;
        let beat = http.post(&format!("/v1/heartbeat/{uuid}"), &version, &body)?;
        ensure!(beat.status == 202, "the first heartbeat was answered {}: {}", beat.status, beat.text());
        Ok(Self { node, daemon, token, uuid, _ironic: ironic, _server: server, _directory: directory })
    }

    /// Runs this with the guard stopped long enough for connects to go to Ironic directly.
    ///
    /// # Errors
    /// Where the daemon is gone.
    pub fn directly<T>(&self, run: impl FnOnce() -> T) -> anyhow::Result<T> {
        let pid = i32::try_from(self.daemon.pid()).ok().and_then(Pid::from_raw).context("no daemon")?;
        kill_process(pid, Signal::STOP)?;
        sleep(STAMP_LIFETIME);
        let outcome = run();
        kill_process(pid, Signal::CONT)?;
        self.daemon.wait_state("a redirect", PATIENCE, redirects)?;
        sleep(STAMP_LIFETIME / 2);
        Ok(outcome)
    }

    /// IPA's lookup.
    pub fn lookup(&self) -> String {
        format!("GET /v1/lookup?addresses={MAC} HTTP/1.1\r\n{HEADERS}\r\n\r\n")
    }

    /// IPA's heartbeat.
    pub fn heartbeat(&self) -> String {
        let body = heartbeat_body(&self.token);
        let (uuid, length) = (&self.uuid, body.len());
        format!("POST /v1/heartbeat/{uuid} HTTP/1.1\r\n{HEADERS}\r\nContent-Length: {length}\r\n\r\n{body}")
    }
}

fn redirects(state: &Value) -> bool {
    state.pointer("/guard/redirecting").and_then(Value::as_bool) == Some(true)
}

fn heartbeat_body(token: &str) -> String {
    format!(
        r#"{{"callback_url": "http://10.77.0.2:9999", "agent_token": "{token}", "agent_version": "13.0.0"}}"#
    )
}
