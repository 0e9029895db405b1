//! The guard on the node of a [`Site`], as IPA meets it: it connects to Ironic.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{API, API_FLAG, MAC, NODE, SOON, Site};
use crate::daemon::Daemon;
use crate::http::{Http, Response};
use crate::ironic::VERSION_HEADER;

/// Where the guard listens.
pub const GUARD: &str = "127.0.0.1:6385";

impl Site {
    /// The daemon in mode guard; its API is the stand-in where the flags name none.
    pub fn guard(&self, flags: &[&str]) -> Daemon {
        let config = self.directory.config_dir();
        let mut all = vec!["--mode=guard", &config];
        if !flags.iter().any(|flag| flag.starts_with("--ironic.api-url=")) {
            all.push(API_FLAG);
        }
        all.extend(flags);
        let mut command = self.node.command(super::binary());
        command.args(Daemon::words(&all));
        Daemon::from_command(command, &self.node).unwrap()
    }

    /// The drop-in for IPA in the site's directory; empty where it is missing.
    pub fn drop_in(&self) -> String {
        std::fs::read_to_string(self.directory.file(super::DROP_IN)).unwrap_or_default()
    }

    /// Ironic, as IPA reaches it.
    pub fn http(&self) -> Http {
        Http::inside(&self.node, API.parse::<SocketAddr>().unwrap())
    }

    /// A lookup of IPA.
    pub fn lookup(&self) -> Response {
        let path = format!("/v1/lookup?addresses={MAC}");
        self.http().get(&path, &[(VERSION_HEADER, "1.62")]).unwrap()
    }

    /// A heartbeat.
    pub fn heartbeat(&self, url: &str, token: &str) -> Response {
        let path = format!("/v1/heartbeat/{NODE}");
        let body = json!({"callback_url": url, "agent_token": token, "agent_version": "13.0.0"});
        self.http().post(&path, &[(VERSION_HEADER, "1.68")], &body).unwrap()
    }
}

/// Waits until connects are redirected.
#[track_caller]
pub fn wait_redirect(daemon: &Daemon) {
    daemon.wait_state("a redirect", SOON, |state| state["guard"]["redirecting"] == true).unwrap();
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
    let inner: Value = serde_json::from_str(outer["error_message"].as_str().unwrap()).unwrap();
    assert_eq!(inner["faultcode"], "Client");
    inner["faultstring"].as_str().unwrap().to_owned()
}

/// How many connections the guard has taken.
pub fn taken(daemon: &Daemon) -> u64 {
    daemon.state().unwrap()["guard"]["connections"].as_u64().unwrap()
}

/// What the guard did, newest last.
pub fn events(daemon: &Daemon) -> Vec<String> {
    let state = daemon.state().unwrap();
    let events = state["guard"]["events"].as_array().unwrap().clone();
    events.iter().map(|event| event["what"].as_str().unwrap().to_owned()).collect()
}
