//! A heartbeat of IPA's: judged, and before Ironic has accepted one, repaired or held where it is bad.

use std::sync::Arc;
use std::time::Duration;

use callback_url::Judgement;
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{CONTENT_LENGTH, HeaderValue};
use hyper::http::request::Parts;
use text::foreign_text;
use tokio::time::Instant;

use crate::exchange::SeenBy;
use crate::ironic::{HeartbeatResult, Refusal, fault};
use crate::metrics::{UrlAction, UrlSource};
use crate::pin::FORGET;

use super::Guard;
use super::answer::{Answer, conflict};
use super::memory::Node;
use super::patience::Patience;
use super::policy::{HeartbeatAction, HeartbeatFacts, heartbeat};
use super::relay::{AtEnd, full, passing};
use super::request::{Era, HeartbeatBody};
use super::upstream::{Silence, forward};

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
            guard.exchanges().heartbeat(SeenBy::Guard, &read.url, HeartbeatResult::Held, Duration::ZERO);
            guard.show(|state| &mut state.held_heartbeat, Some(why.clone()));
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
        !guard.pin().held().known && body.has_token && memory.may_read_back()
    };
    if ask {
        // Half of the time is left for the heartbeat itself.
        let now = Instant::now();
        guard.read_back(patience.end().saturating_duration_since(now) / 2).await;
    }
}

fn judge(guard: &Guard, body: &HeartbeatBody<'_>) -> (HeartbeatAction, Judgement) {
    let published = Arc::clone(&guard.surroundings.decisions.borrow());
    let held = guard.pin().held().url;
    let facts = HeartbeatFacts {
        decided: published.decision.address.as_ref(),
        operator: guard.operator_host,
        local: published.known_local(),
        held: held.as_deref(),
    };
    heartbeat(&body.url, body.certificate.as_deref(), &facts)
}

fn told(guard: &Guard, url: &str, action: UrlAction, judgement: &Judgement) {
    guard.exchanges().warn(&judgement.warnings);
    if judgement.reasons.is_empty() {
        return;
    }
    let url = &foreign_text(url, None);
    let reasons: Vec<_> = judgement.reasons.iter().map(|reason| reason.as_str()).collect();
    tracing::warn!(url, ?action, ?reasons, "IPA sent a bad callback URL");
    guard.exchanges().bad_url(url, UrlSource::Ipa, action, &judgement.reasons);
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
            let url = url.unwrap_or_default();
            guard.exchanges().heartbeat(SeenBy::Guard, &url, result, started.elapsed());
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
        let sent = url.unwrap_or_default();
        guard.exchanges().heartbeat(SeenBy::Guard, sent, result, started.elapsed());
        guard.show(|state| &mut state.held_heartbeat, None);
        match (refusal, url) {
            (None, Some(url)) => guard.accepted(url),
            (Some(Refusal::PinnedUrl), _) => guard.pin().refused(sent),
            (Some(Refusal::PinnedCertificate), _) => guard.pin().set_stale(Some(format!(
                "Ironic holds another certificate than the one with which ironic-python-agent serves now (was it \
                 restarted?): {FORGET}"
            ))),
            _ => {}
        }
        guard.confirm_soon(result);
    }

    fn accepted(&self, url: &str) {
        if self.pin().accepted(url) {
            self.event(format!("Ironic accepted {}, and holds it from now on", foreign_text(url, None)));
        }
        self.pin().set_stale(self.lost_address());
    }
}
