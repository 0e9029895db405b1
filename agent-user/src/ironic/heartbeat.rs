//! The heartbeat: the node is alive, and this is where the conductor reaches the agent.

use api_client::{ApiVersion, is_uuid, version};
use serde::Serialize;
use text::{Secret, foreign_text, labels};
use zeroize::Zeroizing;

use super::error::IronicError;

/// Room for a body with a certificate: one that has to grow leaves a piece of the token behind.
const BODY_BYTES: usize = 16 * 1024;

labels! {
    /// `agent_status` (`AGENT_VALID_STATES`, ironic/api/controllers/v1/ramdisk.py).
    pub enum AgentStatus {
        /// The deployment began.
        Start = "start",
        /// It is done.
        End = "end",
        /// It failed.
        Error = "error",
    }
}

/// One heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// The node.
    pub uuid: String,
    /// Where the conductor reaches the agent. Ironic pins the first one that it accepts.
    pub callback_url: String,
    /// The agent's version; Ironic refuses a heartbeat without one.
    pub agent_version: String,
    /// The token from the lookup, or from the operator.
    pub agent_token: Option<Secret>,
    /// The certificate (PEM) that the agent serves with, where Ironic cannot know it.
    pub agent_verify_ca: Option<String>,
    /// Progress of a ramdisk that deploys by itself.
    pub agent_status: Option<AgentStatus>,
    /// Words to it.
    pub agent_status_message: Option<String>,
}

/// The JSON body; what the API version does not know is left out.
#[derive(Serialize)]
struct Body<'a> {
    callback_url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_verify_ca: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_status_message: Option<&'a str>,
}

impl Heartbeat {
    /// The path of the request.
    pub(super) fn path(&self) -> Result<String, IronicError> {
        if is_uuid(&self.uuid) {
            return Ok(format!("/v1/heartbeat/{}", self.uuid));
        }
        let problem = format!("the node {:?} of the heartbeat is no UUID", foreign_text(&self.uuid, None));
        Err(IronicError::InvalidRequest { problem })
    }

    /// The body for an API version. A certificate or status that the server would not understand is an error: without
    /// it the conductor could not reach the agent, or would miss the end of a deployment. It is wiped: the token is in it.
    pub(super) fn body(&self, speak: ApiVersion) -> Result<Zeroizing<Vec<u8>>, IronicError> {
        let needs = |given: bool, needed: ApiVersion, purpose: &'static str| {
            if given && speak < needed {
                return Err(IronicError::VersionTooOld { offered: speak, needed, purpose });
            }
            Ok(())
        };
        needs(self.agent_verify_ca.is_some(), version::AGENT_VERIFY_CA, "agent_verify_ca in a heartbeat")?;
        let has_status = self.agent_status.is_some() || self.agent_status_message.is_some();
        needs(has_status, version::AGENT_STATUS, "agent_status in a heartbeat")?;
        let body = Body {
            callback_url: &self.callback_url,
            agent_version: (speak >= version::AGENT_VERSION).then_some(self.agent_version.as_str()),
            agent_token: self
                .agent_token
                .as_ref()
                .filter(|_| speak >= version::AGENT_TOKEN)
                .map(Secret::expose),
            agent_verify_ca: self.agent_verify_ca.as_deref(),
            agent_status: self.agent_status.map(AgentStatus::as_str),
            agent_status_message: self.agent_status_message.as_deref(),
        };
        let mut text = Zeroizing::new(Vec::with_capacity(BODY_BYTES));
        serde_json::to_writer(&mut *text, &body).map_err(|_| IronicError::InvalidRequest {
            problem: "the heartbeat could not be written as JSON".to_owned(),
        })?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn heartbeat() -> Heartbeat {
        Heartbeat {
            uuid: "1be26c0b-03f2-4d2e-ae87-c02d7f33c123".to_owned(),
            callback_url: "http://10.0.0.5:9999".to_owned(),
            agent_version: "1.0".to_owned(),
            agent_token: Some(Secret::new("tok".to_owned())),
            agent_verify_ca: None,
            agent_status: None,
            agent_status_message: None,
        }
    }

    fn minor(minor: u16) -> ApiVersion {
        ApiVersion { major: 1, minor }
    }

    #[test]
    fn sends_what_the_version_knows() {
        let body =
            |beat: &Heartbeat, m| serde_json::from_slice::<Value>(&beat.body(minor(m)).unwrap()).unwrap();
        let mut beat = heartbeat();
        let url = "http://10.0.0.5:9999";
        assert_eq!(body(&beat, 30), json!({"callback_url": url}));
        assert_eq!(body(&beat, 40), json!({"callback_url": url, "agent_version": "1.0"}));
        let full = json!({"callback_url": url, "agent_version": "1.0", "agent_token": "tok"});
        assert_eq!(body(&beat, 72), full);
        beat.agent_verify_ca = Some("PEM".to_owned());
        assert!(matches!(beat.body(minor(67)), Err(IronicError::VersionTooOld { .. })));
        beat.agent_status = Some(AgentStatus::End);
        assert!(matches!(beat.body(minor(71)), Err(IronicError::VersionTooOld { .. })));
        assert_eq!(body(&beat, 72).get("agent_status"), Some(&json!("end")));
        assert_eq!(body(&beat, 72).get("agent_verify_ca"), Some(&json!("PEM")));
    }

    #[test]
    fn the_node_is_a_uuid() {
        let mut beat = heartbeat();
        assert!(beat.path().is_ok());
        beat.uuid = "../nodes".to_owned();
        let error = beat.path().unwrap_err().to_string();
        assert!(error.contains("../nodes"), "{error}");
        assert!(!format!("{beat:?}").contains("tok\""));
    }
}
