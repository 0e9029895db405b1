//! The one node and Ironic's rules about it (ironic/api/controllers/v1/ramdisk.py, conductor/manager.py).

use serde_json::{Value, json};

use super::http::{Recorded, Response};
use super::tls::TlsIdentity;
use super::url::{python_geturl, scheme};

/// Minor API versions that brought something.
const LOOKUP: u16 = 22;
const AGENT_VERSION: u16 = 36;
const AGENT_TOKEN: u16 = 62;
const AGENT_VERIFY_CA: u16 = 68;
const AGENT_STATUS: u16 = 72;

/// How the stand-in is set up.
#[derive(Debug, Clone)]
pub struct Behaviour {
    /// The newest API version, 1.N.
    pub max_minor: u16,
    /// The node's UUID.
    pub node_uuid: String,
    /// The MACs of its ports, lower case. Empty: any MAC is this node's.
    pub macs: Vec<String>,
    /// `config.heartbeat_timeout` in seconds.
    pub heartbeat_timeout: u64,
    /// `[agent]require_tls`.
    pub require_tls: bool,
    /// A token that the operator gave out beforehand: every lookup gets it masked.
    pub pregenerated_token: Option<String>,
    /// Serves https with this.
    pub tls: Option<TlsIdentity>,
}

impl Behaviour {
    /// Ironic of the seed's time (5.1.0, Mitaka): API 1.16, so agents look up and heartbeat by vendor_passthru; there
    /// is no token, and every heartbeat may bring another URL.
    pub fn mitaka() -> Self {
        Self { max_minor: 16, ..Self::default() }
    }
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            max_minor: 102,
            node_uuid: "1be26c0b-03f2-4d2e-ae87-c02d7f33c123".to_owned(),
            macs: Vec::new(),
            heartbeat_timeout: 300,
            require_tls: false,
            pregenerated_token: None,
            tls: None,
        }
    }
}

/// The node as Ironic knows it.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub behaviour: Behaviour,
    pub token: Option<String>,
    tokens_made: u64,
    pub agent_url: Option<String>,
    pub agent_version: Option<String>,
    pub agent_verify_ca: Option<String>,
    /// Another task holds the node.
    pub locked: bool,
    /// The provision state waits for no ramdisk: lookups 404, heartbeats accepted and dropped.
    pub wrong_state: bool,
    /// Heartbeats answered 202.
    pub accepted: usize,
    /// Heartbeats that were also recorded.
    pub recorded: usize,
}

impl Node {
    pub fn new(behaviour: Behaviour) -> Self {
        Self { token: behaviour.pregenerated_token.clone(), behaviour, ..Self::default() }
    }

    /// Power off or reboot through Ironic: URL, certificate and token are wiped.
    pub fn power_cycle(&mut self) {
        self.token = self.behaviour.pregenerated_token.clone();
        self.agent_url = None;
        self.agent_verify_ca = None;
    }

    /// Ironic's answer to a request.
    pub fn answer(&mut self, request: &Recorded) -> Response {
        let version =
            requested_minor(request.header("x-openstack-ironic-api-version"), self.behaviour.max_minor);
        let max = format!("1.{}", self.behaviour.max_minor);
        let mut response = match version {
            None => not_acceptable(&max),
            Some(_) if self.is_passthru(request) => self.passthru(request),
            Some(minor) => match (request.method.as_str(), request.path()) {
                ("GET", "/") => self.root(),
                ("GET", "/v1" | "/v1/") => Response::new(200, json!({"id": "v1"}).to_string()),
                ("GET", "/v1/lookup") => self.lookup(minor, request).unwrap_or_else(|refusal| refusal),
                ("POST", "/v1/continue_inspection") => Response::new(202, ""),
                ("POST", path) if path.starts_with("/v1/heartbeat/") => {
                    let accepted = self.heartbeat(minor, request).map(|()| Response::new(202, ""));
                    accepted.unwrap_or_else(|refusal| refusal)
                }
                _ => not_found(),
            },
        };
        let mut header = |name: &str, value: String| {
            response.headers.push((format!("X-OpenStack-Ironic-API-{name}"), value));
        };
        header("Minimum-Version", "1.1".to_owned());
        header("Maximum-Version", max);
        if let Some(minor) = version {
            header("Version", format!("1.{minor}"));
        }
        response
    }

    /// Whether one of the MACs, in lower case, is a port of this node.
    pub(super) fn has_any(&self, macs: &[&str]) -> bool {
        let known = &self.behaviour.macs;
        known.is_empty() || macs.iter().any(|mac| known.iter().any(|k| k == mac))
    }

    fn root(&self) -> Response {
        let version = json!({
            "id": "v1", "status": "CURRENT", "min_version": "1.1",
            "version": format!("1.{}", self.behaviour.max_minor),
        });
        let document = json!({
            "name": "OpenStack Ironic API", "default_version": version, "versions": [version],
        });
        Response::new(200, document.to_string())
    }

    fn lookup(&mut self, minor: u16, request: &Recorded) -> Result<Response, Response> {
        if minor < LOOKUP {
            return Err(not_found());
        }
        let addresses = request.query("addresses").unwrap_or_default().to_ascii_lowercase();
        let macs: Vec<_> = addresses.split(',').filter(|mac| is_mac(mac)).collect();
        let uuid = request.query("node_uuid");
        let ours = match &uuid {
            Some(uuid) => *uuid == self.behaviour.node_uuid,
            None if macs.is_empty() => {
                return Err(error(400, "At least one of 'addresses' and 'node_uuid' parameters is required"));
            }
            None => self.has_any(&macs),
        };
        if !ours || self.wrong_state {
            return Err(not_found());
        }
        let token = if minor < AGENT_TOKEN {
            self.token.clone() // So it is: an old version shows the real one.
        } else if self.token.is_some() {
            Some("******".to_owned())
        } else if self.locked {
            return Err(self.is_locked());
        } else {
            self.token = Some(self.new_token());
            self.token.clone()
        };
        let mut internal = json!({});
        if let (Some(url), Some(map)) = (&self.agent_url, internal.as_object_mut()) {
            map.insert("agent_url".to_owned(), Value::String(url.clone()));
        }
        let document = json!({
            "node": {
                "uuid": self.behaviour.node_uuid, "properties": {}, "instance_info": {},
                "driver_internal_info": internal,
            },
            "config": {
                "heartbeat_timeout": self.behaviour.heartbeat_timeout,
                "agent_token": token, "agent_token_required": true, "tls_min_version": "1.2",
            },
        });
        Ok(Response::new(200, document.to_string()))
    }

    fn heartbeat(&mut self, minor: u16, request: &Recorded) -> Result<(), Response> {
        if minor < LOOKUP {
            return Err(not_found());
        }
        let body = request.json();
        let field = |name: &str| body.get(name).and_then(Value::as_str);
        let url =
            field("callback_url").ok_or_else(|| error(400, "Missing mandatory parameter: callback_url"))?;
        if field("agent_version").is_some() && minor < AGENT_VERSION {
            return Err(error(400, "Field \"agent_version\" not recognised"));
        }
        if (field("agent_status").or(field("agent_status_message"))).is_some() && minor < AGENT_STATUS {
            let text = "Fields \"agent_status\" and \"agent_status_message\" not recognised.";
            return Err(error(400, text));
        }
        if field("agent_verify_ca").is_some() && minor < AGENT_VERIFY_CA {
            return Err(error(400, "Field \"agent_verify_ca\" not recognised in this version"));
        }
        let ident = request.path().trim_start_matches("/v1/heartbeat/");
        if ident != self.behaviour.node_uuid {
            return Err(error(404, &format!("Node {ident} could not be found.")));
        }
        let url = match python_geturl(url).filter(|url| scheme(url).contains("http")) {
            Some(url) => url,
            None if url.is_empty() => String::new(),
            None => {
                return Err(error(400, "An issue with the supplied \"callback_url\" has been detected."));
            }
        };
        if self.agent_url.as_ref().is_some_and(|pinned| *pinned != url) {
            return Err(error(400, "Detected change in ramdisk provided \"callback_url\""));
        }
        // A server of before the token neither makes nor wants one.
        let wants_token = self.behaviour.max_minor >= AGENT_TOKEN;
        let token = field("agent_token");
        if wants_token && token.is_none() {
            return Err(error(400, "Agent token is required for heartbeat processing."));
        }
        if field("agent_status").is_some_and(|status| !["start", "end", "error"].contains(&status)) {
            return Err(error(400, "Agent status is invalid. Valid states are start,end,error."));
        }
        // From here on it is the conductor who looks.
        if field("agent_version").is_none() && field("agent_status").is_none() {
            let text = "Agent did not transmit a version, and a version is required. Please update the agent being used.";
            return Err(error(400, text));
        }
        if wants_token && self.token.as_deref() != token {
            return Err(error(400, "Invalid or missing agent token received."));
        }
        if self.behaviour.require_tls && !url.is_empty() && !url.starts_with("https://") {
            return Err(error(400, "TLS is required by configuration"));
        }
        if let Some(certificate) = field("agent_verify_ca") {
            let pinned = self.agent_verify_ca.get_or_insert_with(|| certificate.to_owned());
            if pinned.trim() != certificate.trim() {
                return Err(error(400, "Detected change in ramdisk provided \"agent_verify_ca\""));
            }
        }
        if self.locked && self.agent_url.is_none() {
            return Err(self.is_locked());
        }
        self.accepted += 1;
        if !self.locked && !self.wrong_state {
            self.recorded += 1;
            self.agent_url = Some(url);
            self.agent_version = field("agent_version").map(str::to_owned);
        }
        Ok(())
    }

    pub(super) fn is_locked(&self) -> Response {
        let uuid = &self.behaviour.node_uuid;
        error(
            409,
            &format!(
                "Node {uuid} is locked by host stand-in, please retry after the current operation is completed."
            ),
        )
    }

    /// 43 characters like Ironic's `secrets.token_urlsafe()`, another one each time.
    fn new_token(&mut self) -> String {
        self.tokens_made += 1;
        format!("stand-in_token_{:0>28}", self.tokens_made)
    }
}

/// The requested minor version; 1.1 without a header, `None` for what is not offered.
fn requested_minor(header: Option<&str>, max: u16) -> Option<u16> {
    match header {
        None => Some(1),
        Some(text) if text.eq_ignore_ascii_case("latest") => Some(max),
        Some(text) => {
            let minor = text.strip_prefix("1.")?.parse().ok()?;
            (1..=max).contains(&minor).then_some(minor)
        }
    }
}

pub(super) fn is_mac(text: &str) -> bool {
    let bytes: Vec<_> = text.split([':', '-']).collect();
    bytes.len() == 6 && bytes.iter().all(|b| b.len() == 2 && u8::from_str_radix(b, 16).is_ok())
}

/// An error, encoded twice as Ironic does.
pub(super) fn error(status: u16, text: &str) -> Response {
    let inner = json!({"faultcode": "Client", "faultstring": text, "debuginfo": null});
    Response::new(status, json!({"error_message": inner.to_string()}).to_string())
}

pub(super) fn not_found() -> Response {
    error(404, "Resource could not be found.")
}

fn not_acceptable(max: &str) -> Response {
    let text = format!("The requested version is not supported by this service. The range is: [1.1, {max}].");
    let inner = json!({"code": 406, "title": "Not Acceptable", "description": text});
    Response::new(406, json!({"error_message": inner.to_string()}).to_string())
}
