//! IPA's silent death: over http, when it finds no address, only its heartbeat thread dies; `/v1/status` goes on
//! answering and nothing is ever sent. Where the operator wants it, we then send the first heartbeat.

use std::sync::Arc;
use std::time::Duration;

use callback_url::Context;
use tokio::time::sleep;

use crate::ipa::status::IpaProbe;
use crate::ironic::Heartbeat;
use crate::metrics::Trigger;

use super::Guard;

/// So long after its lookup an IPA that lives has sent a heartbeat.
const SILENCE: Duration = Duration::from_secs(90);
/// How often it is looked at; also the pause after a failed try.
const LOOK: Duration = Duration::from_secs(5);

/// Watches until one heartbeat was accepted, IPA's or ours.
pub async fn run(guard: Arc<Guard>, port: u16) {
    let Ok(probe) = IpaProbe::new(port) else { return };
    loop {
        sleep(LOOK).await;
        if look(&guard, &probe).await {
            return;
        }
    }
}

/// Looks once; true where there is nothing left to do.
async fn look(guard: &Guard, probe: &IpaProbe) -> bool {
    if guard.memory().heartbeat_seen {
        return true;
    }
    let due = guard.memory().looked_up_at.is_some_and(|at| at.elapsed() >= SILENCE);
    if !due {
        return false;
    }
    let ipa = probe.ask().await;
    // Asking took time: IPA's own goes first, however late.
    ipa.up && (guard.memory().heartbeat_seen || send(guard, ipa.version).await)
}

/// Sends one heartbeat from the decision; true where Ironic accepted it.
async fn send(guard: &Guard, version: Option<String>) -> bool {
    let (decision, node) = (guard.decision(), guard.memory().node.clone());
    let (Some(url), Some(node)) = (decision.callback_url.clone(), node) else {
        return false;
    };
    if node.token_required && node.token.is_none() {
        return false; // Ironic would refuse it: the lookup that got the token did not pass here.
    }
    if url.starts_with("https:") || !callback_url::judge(&url, &Context::default()).reasons.is_empty() {
        return false; // With TLS the certificate would be missing: IPA makes it with its address.
    }
    tracing::warn!(
        url,
        "ironic-python-agent answers and has sent no heartbeat for 90 s: sending the first one for it"
    );
    let heartbeat = Heartbeat {
        uuid: node.uuid,
        callback_url: url.clone(),
        agent_version: version.unwrap_or_else(|| "unknown".to_owned()),
        agent_token: node.token,
        agent_verify_ca: None,
        agent_status: None,
        agent_status_message: None,
    };
    let outcome =
        guard.exchanges().send(&guard.client, &decision.endpoints(), &heartbeat, Trigger::StandIn).await;
    match outcome {
        Ok(_connection) => {
            guard.event(format!("first heartbeat sent for ironic-python-agent: {url}"));
            guard.pin().take(Some(&url));
            true
        }
        Err(error) => {
            tracing::error!(%error, "the heartbeat in the place of ironic-python-agent failed");
            false
        }
    }
}

#[cfg(test)]
#[path = "stand_in_tests.rs"]
mod tests;
