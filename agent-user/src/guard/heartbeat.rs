//! A heartbeat of IPA's: judged, and before Ironic has accepted one, repaired or held where it is bad.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{CONTENT_LENGTH, HeaderValue};
use hyper::http::request::Parts;
use tokio::time::Instant;

use crate::agent_url::{self, Judgement, Local};
use crate::ironic::{HeartbeatResult, Refusal, fault, foreign_text};
use crate::metrics::{Sender, UrlAction, UrlSource};
use crate::rtnl::Kernel;
use crate::watch::local_addresses;

use super::Guard;
use super::memory::Node;
use super::policy::{HeartbeatAction, HeartbeatFacts, Pin, heartbeat};
use super::proxy::{Answer, conflict};
use super::relay::{AtEnd, full, passing};
use super::request::{Era, HeartbeatBody};
use super::upstream::{Patience, Silence, forward};

/// What helps where Ironic holds what is no longer so.
pub(super) const FORGET: &str =
    "power the node off or reboot it through Ironic, which makes it forget the old one";

/// Handles one heartbeat, whose body has come whole.
///
/// # Errors
/// Where Ironic cannot be reached: then IPA gets no answer.
pub async fn handle(
    guard: &Arc<Guard>,
    mut parts: Parts,
    path: &str,
    body: Bytes,
    era: Era,
    node_uuid: String,
) -> Result<Answer, Silence> {
    let patience = guard.patience();
    let Some(read) = HeartbeatBody::read(&body, era) else {
        // No callback URL in it: Ironic says what it thinks of that.
        return send(guard, parts, path, body.clone(), None, &patience).await;
    };
    meet(guard, &read, era, node_uuid, &patience).await;
    let (action, judgement) = judge(guard, &read);
    let (outgoing, url) = match action {
        HeartbeatAction::Forward => {
            told(guard, &read.url, UrlAction::Forwarded, &judgement);
            (body.clone(), read.url.clone())
        }
        HeartbeatAction::Repair(url) => {
            told(guard, &read.url, UrlAction::Repaired, &judgement);
            (Bytes::from(read.with_url(&url)), url)
        }
        HeartbeatAction::Hold(why) => {
            told(guard, &read.url, UrlAction::Held, &judgement);
            tracing::error!("holding IPA's heartbeat: {why}");
            guard.metrics.heartbeat(Sender::Ipa, HeartbeatResult::Held, Duration::ZERO);
            guard.status.update(|status| {
                status.guard.held_heartbeat = Some(why.clone());
                status.push_heartbeat(&foreign_text(&read.url, None), HeartbeatResult::Held.as_str());
            });
            return Ok(conflict(&why));
        }
    };
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(outgoing.len()));
    send(guard, parts, path, outgoing, Some(url), &patience).await
}

/// Whoever heartbeats has been looked up. Where we did not see that (we started later), Ironic is asked what it holds,
/// before anything is decided: what it has accepted must not change.
async fn meet(
    guard: &Arc<Guard>,
    body: &HeartbeatBody<'_>,
    era: Era,
    node_uuid: String,
    patience: &Patience,
) {
    let ask = {
        let mut memory = guard.memory();
        memory.token_spent = true;
        memory.heartbeat_seen = true;
        memory.vendor_passthru = era == Era::VendorPassthru;
        if memory.node.is_none() {
            let heartbeat_timeout = memory.heartbeat_timeout();
            memory.node =
                Some(Node { uuid: node_uuid, token: None, token_required: true, heartbeat_timeout });
        }
        // Without a token in it this may be an IPA that still waits for its own.
        !memory.pin_is_known && body.has_token && memory.may_read_back()
    };
    if ask {
        // Half of the time is left for the heartbeat itself.
        let now = Instant::now();
        let half = patience.end().saturating_duration_since(now) / 2;
        guard.read_back(now + half).await;
    }
}

fn judge(guard: &Guard, body: &HeartbeatBody<'_>) -> (HeartbeatAction, Judgement) {
    let decided = guard.decision().address;
    let local = local(guard);
    let pin = guard.memory().pin.clone();
    let facts = HeartbeatFacts {
        decided: decided.as_ref(),
        operator: guard.operator_host,
        local: local.as_ref(),
        pin: &pin,
    };
    heartbeat(&body.url, body.certificate.as_deref(), &facts)
}

/// This machine's addresses; not known where the kernel cannot be asked.
fn local(guard: &Guard) -> Option<Local> {
    let mut kernel = Kernel::open(guard.metrics.clone()).ok()?;
    local_addresses(&mut kernel).ok()
}

fn told(guard: &Guard, url: &str, action: UrlAction, judgement: &Judgement) {
    if judgement.reasons.is_empty() {
        return;
    }
    let url = &foreign_text(url, None);
    let reasons: Vec<_> = judgement.reasons.iter().map(|reason| reason.as_str()).collect();
    tracing::warn!(url, ?action, ?reasons, "IPA sent a bad callback URL");
    guard.callback.bad(url, UrlSource::Ipa, action, &judgement.reasons);
}

/// Forwards it; `url` is the callback URL in it.
async fn send(
    guard: &Arc<Guard>,
    parts: Parts,
    path: &str,
    body: Bytes,
    url: Option<String>,
    patience: &Patience,
) -> Result<Answer, Silence> {
    let started = Instant::now();
    let endpoints = guard.decision().endpoints();
    match forward(&guard.client, &endpoints, parts, path, full(body), patience).await {
        Ok((response, connection)) => {
            guard.witness(&connection);
            let status = response.status();
            let guard = Arc::clone(guard);
            let at_end: AtEnd = Box::new(move |answer| {
                Guard::heartbeat_answered(&guard, status, answer.as_deref(), url.as_deref(), started);
            });
            Ok(response.map(|body| passing(body, Some(at_end))))
        }
        Err(silence) => {
            let result = silence.heartbeat_result();
            guard.metrics.heartbeat(Sender::Ipa, result, started.elapsed());
            let url = foreign_text(&url.unwrap_or_default(), None);
            guard.status.update(|status| status.push_heartbeat(&url, result.as_str()));
            Err(silence)
        }
    }
}

impl Guard {
    /// Counts the answer, and remembers what it means for the pin.
    fn heartbeat_answered(
        guard: &Arc<Self>,
        status: StatusCode,
        answer: Option<&[u8]>,
        url: Option<&str>,
        started: Instant,
    ) {
        let refusal = (status != StatusCode::ACCEPTED).then(|| {
            let text = fault::error_text(answer.unwrap_or_default()).unwrap_or_default();
            fault::refusal(status.as_u16(), &text)
        });
        let result = refusal.map_or(HeartbeatResult::Accepted, Refusal::heartbeat_result);
        guard.metrics.heartbeat(Sender::Ipa, result, started.elapsed());
        let shown = foreign_text(url.unwrap_or_default(), None);
        guard.status.update(|status| {
            status.guard.held_heartbeat = None;
            status.push_heartbeat(&shown, result.as_str());
        });
        match (refusal, url) {
            (None, Some(url)) => guard.accepted(url),
            (Some(Refusal::PinnedUrl), _) => guard.callback.set_stale(Some(format!(
                "Ironic holds another callback URL and refuses {shown} of ironic-python-agent: {FORGET}"
            ))),
            (Some(Refusal::PinnedCertificate), _) => guard.callback.set_stale(Some(format!(
                "Ironic holds another certificate than the one with which ironic-python-agent serves now (was it \
                 restarted?): {FORGET}"
            ))),
            _ => {}
        }
        guard.confirm_soon(result);
    }

    fn accepted(&self, url: &str) {
        let known = match &self.memory().pin {
            Pin::Held(held) => agent_url::same_to_ironic(held, url),
            Pin::None => false,
        };
        if !known {
            let shown = foreign_text(url, None);
            self.event(format!("Ironic accepted {shown}, and holds it from now on"));
            self.memory().confirmed = false;
            self.pin(Some(url));
        }
        self.callback.set_stale(self.lost_address());
    }
}
