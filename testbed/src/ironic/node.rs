//! The node: enrolled, looked at and moved through Ironic's own API, as an operator would.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{API_VERSION, Auth, RealIronic, VERSION_HEADER};

/// How long the node may take for one change of state, and Ironic to let go of its lock.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The headers of the testbed's own requests.
struct Headers(Vec<(&'static str, String)>);

impl Headers {
    fn of(&self) -> Vec<(&str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }
}

impl RealIronic {
    fn headers(&self) -> Headers {
        let mut headers =
            vec![(VERSION_HEADER, API_VERSION.to_owned()), ("Accept", "application/json".to_owned())];
        match &self.auth {
            Auth::Nobody => {}
            Auth::HttpBasic { user, password } => {
                let pair = base64(format!("{user}:{password}").as_bytes());
                headers.push(("Authorization", format!("Basic {pair}")));
            }
            Auth::Keystone { token, .. } => headers.push(("X-Auth-Token", token.clone())),
        }
        Headers(headers)
    }

    /// The node as `GET /v1/nodes/<uuid>` shows it: `provision_state`, `driver_internal_info`, `last_error`...
    ///
    /// # Errors
    /// Where Ironic does not answer with the node.
    pub fn node(&self) -> io::Result<Value> {
        self.node_of(self.node_uuid())
    }

    /// The URL that Ironic has on file for the node's agent.
    ///
    /// # Errors
    /// As [`RealIronic::node`].
    pub fn agent_url(&self) -> io::Result<Option<String>> {
        self.internal("agent_url")
    }

    /// The file with the certificate that came with the agent's heartbeats, to which the conductor trusts its calls.
    ///
    /// # Errors
    /// Where Ironic has none.
    pub fn agent_certificate(&self) -> io::Result<PathBuf> {
        let path = self
            .internal("agent_verify_ca")?
            .ok_or_else(|| io::Error::other("no agent_verify_ca on file"))?;
        Ok(PathBuf::from(path))
    }

    /// When Ironic recorded the last heartbeat: UTC without a zone, like `2026-01-02T03:04:05.678901`.
    ///
    /// # Errors
    /// As [`RealIronic::node`].
    pub fn agent_last_heartbeat(&self) -> io::Result<Option<String>> {
        self.internal("agent_last_heartbeat")
    }

    /// Switches the node off and on through the API, which wipes its agent's URL and token.
    ///
    /// # Errors
    /// Where Ironic refuses, or does not come to it within 30 s.
    pub fn power_cycle(&self) -> io::Result<()> {
        self.power(self.node_uuid(), "power off")?;
        self.power(self.node_uuid(), "power on")
    }

    /// Brings the node to `clean wait`, where heartbeats make the conductor call the agent. Wants
    /// [`Options::fast_track`](super::Options::fast_track) false, and an agent that is only played.
    ///
    /// # Errors
    /// Where Ironic refuses, or does not come to it within 30 s.
    pub fn clean_wait(&self) -> io::Result<()> {
        if field(&self.node()?, "provision_state") != "manageable" {
            self.provision(self.node_uuid(), "manage", "manageable")?;
        }
        self.provision(self.node_uuid(), "provide", "clean wait")
    }

    /// Enrolls one more node, with these MACs: manageable and powered on, as the first one.
    ///
    /// # Errors
    /// Where Ironic refuses, or does not come to it within 30 s.
    pub fn enroll(&self, uuid: &str, macs: &[String]) -> io::Result<()> {
        self.create("/v1/nodes", &json!({"uuid": uuid, "driver": "fake-hardware"}))?;
        for mac in macs {
            self.create("/v1/ports", &json!({"node_uuid": uuid, "address": mac}))?;
        }
        self.provision(uuid, "manage", "manageable")?;
        self.power(uuid, "power on")
    }

    /// A node that [`RealIronic::enroll`] enrolled, as [`RealIronic::node`] shows the first one.
    ///
    /// # Errors
    /// As [`RealIronic::node`].
    pub fn node_of(&self, uuid: &str) -> io::Result<Value> {
        let answer = self.http.get(&format!("/v1/nodes/{uuid}"), &self.headers().of())?;
        match answer.status {
            200 => answer.json(),
            status => Err(refused("GET of the node", status, &answer.text())),
        }
    }

    fn internal(&self, name: &str) -> io::Result<Option<String>> {
        let node = self.node()?;
        let value = node.get("driver_internal_info").and_then(|info| info.get(name));
        Ok(value.and_then(Value::as_str).map(str::to_owned))
    }

    fn create(&self, path: &str, body: &Value) -> io::Result<()> {
        let answer = self.http.post(path, &self.headers().of(), body)?;
        match answer.status {
            201 => Ok(()),
            status => Err(refused(&format!("POST {path} of {body}"), status, &answer.text())),
        }
    }

    fn provision(&self, uuid: &str, target: &str, state: &str) -> io::Result<()> {
        self.change(uuid, "provision", target, state)
    }

    fn power(&self, uuid: &str, state: &str) -> io::Result<()> {
        self.change(uuid, "power", state, state)
    }

    /// Asks for a new state and waits for it and for the end of the lock.
    fn change(&self, uuid: &str, kind: &str, target: &str, state: &str) -> io::Result<()> {
        let start = Instant::now();
        let path = format!("/v1/nodes/{uuid}/states/{kind}");
        loop {
            let answer = self.http.put(&path, &self.headers().of(), &json!({"target": target}))?;
            match answer.status {
                202 => break,
                409 if start.elapsed() < TIMEOUT => std::thread::sleep(Duration::from_millis(100)), // Locked.
                status => {
                    return Err(refused(&format!("{kind} state {target:?}"), status, &answer.text()));
                }
            }
        }
        loop {
            let node = self.node_of(uuid)?;
            if field(&node, &format!("{kind}_state")) == state && field(&node, "reservation").is_null() {
                return Ok(());
            }
            if start.elapsed() > TIMEOUT {
                let seen: Vec<_> = ["provision_state", "power_state", "reservation", "last_error"]
                    .map(|name| format!("{name}: {}", field(&node, name)))
                    .into();
                let text = format!("{kind} state {target:?} not reached in 30 s; {}", seen.join(", "));
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The value of a field, null where it is missing.
fn field<'a>(node: &'a Value, name: &str) -> &'a Value {
    node.get(name).unwrap_or(&Value::Null)
}

fn refused(what: &str, status: u16, body: &str) -> io::Error {
    let body: String = body.chars().take(500).collect();
    io::Error::other(format!("Ironic answered {what} with {status}: {body:?}"))
}

/// RFC 4648, 4; the testbed has no crate for it.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = DIGITS.get((word >> (18 - 6 * place) & 63) as usize).copied().unwrap_or_default();
            text.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_as_in_the_standard() {
        // RFC 4648, 10.
        for (text, encoded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
    }
}
