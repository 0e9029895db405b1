//! Lookup and heartbeat as the agent's vendor passthru, which is all that agents had before API 1.22
//! (ironic/drivers/modules/agent_base_vendor.py of Ironic 5.1.0, Mitaka).

use serde_json::{Value, json};

use super::http::{Recorded, Response};
use super::node::{Node, error, is_mac, not_found};

/// Ironic 7.0.0, whose API is 1.31, no longer had it.
const REMOVED: u16 = 31;

impl Node {
    /// Whether this is for a vendor passthru that this server still has.
    pub(super) fn is_passthru(&self, request: &Recorded) -> bool {
        self.behaviour.max_minor < REMOVED && request.path().contains("/vendor_passthru/")
    }

    pub(super) fn passthru(&mut self, request: &Recorded) -> Response {
        let words: Vec<_> = request.path().trim_matches('/').split('/').collect();
        let answer = match words.as_slice() {
            ["v1", "drivers", _, "vendor_passthru", "lookup"] => self.passthru_lookup(&request.json()),
            ["v1", "nodes", ident, "vendor_passthru", "heartbeat"] => {
                self.passthru_heartbeat(ident, &request.json())
            }
            _ => Err(not_found()),
        };
        match request.method.as_str() {
            "POST" => answer.unwrap_or_else(|refusal| refusal),
            method => error(400, &format!("The method {method} is not supported.")),
        }
    }

    /// No lock, no token, no look at the provision state: whoever knows a MAC gets the node.
    fn passthru_lookup(&self, body: &Value) -> Result<Response, Response> {
        match body.get("version").and_then(Value::as_str) {
            Some("2") => {}
            None => return Err(error(400, "Missing parameter version")),
            Some(version) => {
                return Err(error(400, &format!("Unknown lookup payload version: {version}")));
            }
        }
        let ours = match body.get("node_uuid").and_then(Value::as_str) {
            Some(uuid) => uuid == self.behaviour.node_uuid,
            None => {
                let interfaces = body.pointer("/inventory/interfaces").and_then(Value::as_array);
                let interfaces = interfaces
                    .ok_or_else(|| error(400, "Malformed network interfaces lookup: no interfaces"))?;
                let macs: Vec<_> = interfaces
                    .iter()
                    .filter_map(|interface| interface.get("mac_address")?.as_str())
                    .map(str::to_ascii_lowercase)
                    .filter(|mac| is_mac(mac))
                    .collect();
                let macs: Vec<_> = macs.iter().map(String::as_str).collect();
                !macs.is_empty() && self.has_any(&macs)
            }
        };
        if !ours {
            return Err(error(404, "No ports matching the given MAC addresses exist in the database."));
        }
        let document = json!({
            "heartbeat_timeout": self.behaviour.heartbeat_timeout,
            "node": {
                "uuid": self.behaviour.node_uuid, "properties": {}, "instance_info": {},
                "driver_internal_info": {"agent_url": self.agent_url},
            },
        });
        Ok(Response::new(200, document.to_string()))
    }

    /// Takes whatever URL comes, each time anew. Without one the answer is the same: it was found missing afterwards.
    fn passthru_heartbeat(&mut self, ident: &str, body: &Value) -> Result<Response, Response> {
        if ident != self.behaviour.node_uuid {
            return Err(error(404, &format!("Node {ident} could not be found.")));
        }
        if self.locked {
            return Err(self.is_locked());
        }
        self.accepted += 1;
        if let Some(url) = body.get("agent_url").and_then(Value::as_str) {
            self.recorded += 1;
            self.agent_url = Some(url.to_owned());
        }
        Ok(Response::new(202, ""))
    }
}

#[cfg(test)]
mod tests {
    use crate::http::Http;
    use crate::stand_in::{Behaviour, Fault, Path, StandIn};
    use serde_json::json;

    const LOOKUP: &str = "/v1/drivers/agent_ipmitool/vendor_passthru/lookup";

    #[test]
    fn answers_like_mitaka() {
        let macs = vec!["28:9e:97:e2:65:65".to_owned()];
        let stand_in = StandIn::on("127.0.0.1", Behaviour { macs, ..Behaviour::mitaka() }).unwrap();
        let http = Http::new(stand_in.address());
        let lookup = |mac: &str| {
            let body =
                json!({"version": "2", "inventory": {"interfaces": [{"name": "em1", "mac_address": mac}]}});
            http.post(LOOKUP, &[], &body).unwrap()
        };
        let found = lookup("28:9E:97:E2:65:65");
        assert_eq!(found.status, 200);
        let found = found.json().unwrap();
        assert_eq!(found["heartbeat_timeout"], 300);
        let uuid = found["node"]["uuid"].as_str().unwrap();
        assert_eq!(lookup("52:54:00:aa:00:01").status, 404);
        assert_eq!(http.post(LOOKUP, &[], &json!({"version": "1"})).unwrap().status, 400);
        assert_eq!(http.get(LOOKUP, &[]).unwrap().status, 400);
        let newer = [("X-OpenStack-Ironic-API-Version", "1.22")];
        assert_eq!(http.get("/v1/lookup?addresses=28:9e:97:e2:65:65", &newer).unwrap().status, 406);

        let path = format!("/v1/nodes/{uuid}/vendor_passthru/heartbeat");
        let beat = |url: &str| http.post(&path, &[], &json!({"agent_url": url})).unwrap().status;
        for url in ["http://172.25.134.128 uid 0:9999", "http://172.25.134.128:9999"] {
            assert_eq!(beat(url), 202);
            assert_eq!(stand_in.agent_url().as_deref(), Some(url));
        }
        stand_in.push_fault(Path::Heartbeat, Fault::Error(503, "busy".to_owned()));
        assert_eq!(beat("http://10.0.0.1:9999"), 503);
        stand_in.set_locked(true);
        assert_eq!(beat("http://10.0.0.1:9999"), 409);
        assert_eq!((stand_in.heartbeats(), stand_in.recorded_heartbeats()), (2, 2));
    }

    #[test]
    fn a_newer_server_has_none() {
        let stand_in = StandIn::on("127.0.0.1", Behaviour::default()).unwrap();
        let http = Http::new(stand_in.address());
        assert_eq!(http.post(LOOKUP, &[], &json!({"version": "2"})).unwrap().status, 404);
    }
}
