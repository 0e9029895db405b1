//! IPA's silent death: over http, when it finds no address, only its heartbeat thread dies; `/v1/status` goes on
//! answering and nothing is ever sent. Where the operator wants it, we then send the first heartbeat.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::agent_url::{self, Context};
use crate::ipa::status::IpaProbe;
use crate::ironic::{Heartbeat, HeartbeatResult};
use crate::metrics::{Sender, Trigger};

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
    if !due || !probe.ask().await.up {
        return false;
    }
    // Asking took time: IPA's own goes first, however late.
    guard.memory().heartbeat_seen || send(guard).await
}

/// Sends one heartbeat from the decision; true where Ironic accepted it.
async fn send(guard: &Guard) -> bool {
    let (decision, node) = (guard.decision(), guard.memory().node.clone());
    let (Some(url), Some(node)) = (decision.callback_url.clone(), node) else {
        return false;
    };
    if node.token_required && node.token.is_none() {
        return false; // Ironic would refuse it: the lookup that got the token did not pass here.
    }
    if url.starts_with("https:") || !agent_url::judge(&url, &Context::default()).reasons.is_empty() {
        return false; // With TLS the certificate would be missing: IPA makes it with its address.
    }
    tracing::warn!(
        url,
        "ironic-python-agent answers and has sent no heartbeat for 90 s: sending the first one for it"
    );
    let heartbeat = Heartbeat {
        uuid: node.uuid,
        callback_url: url.clone(),
        agent_version: guard.status.snapshot().ipa.version.unwrap_or_else(|| "unknown".to_owned()),
        agent_token: node.token,
        agent_verify_ca: None,
        agent_status: None,
        agent_status_message: None,
    };
    guard.metrics.heartbeat_sent(Trigger::StandIn);
    let started = Instant::now();
    let outcome = guard.client.heartbeat(&decision.endpoints(), &heartbeat).await;
    let result =
        outcome.as_ref().map_or_else(|error| error.heartbeat_result(), |_| HeartbeatResult::Accepted);
    guard.metrics.heartbeat(Sender::Sidecar, result, started.elapsed());
    guard.status.update(|status| status.push_heartbeat(&url, result.as_str()));
    match outcome {
        Ok(_) => {
            guard.event(format!("first heartbeat sent for ironic-python-agent: {url}"));
            guard.pin(Some(&url));
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
