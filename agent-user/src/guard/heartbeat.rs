//! A heartbeat of IPA's: judged, and before Ironic has accepted one, repaired or held where it is bad.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{CONTENT_LENGTH, HeaderValue};
use hyper::http::request::Parts;
use tokio::time::Instant;

use crate::agent_url::{Judgement, Local};
use crate::ironic::{HeartbeatResult, fault};
use crate::metrics::{Sender, UrlAction, UrlSource};
use crate::rtnl::Kernel;
use crate::watch::local_addresses;

use super::Guard;
use super::memory::Node;
use super::policy::{HeartbeatAction, HeartbeatFacts, Pin, heartbeat};
use super::proxy::{Answer, conflict};
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
    let Some(read) = HeartbeatBody::read(&body, era) else {
        // No callback URL in it: Ironic says what it thinks of that.
        return send(guard, parts, path, body.clone(), None).await;
    };
    meet(guard, &read, era, node_uuid).await;
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
            guard
                .metrics
                .heartbeat(Sender::Ipa, HeartbeatResult::Held, Duration::ZERO);
            guard
                .status
                .update(|status| status.guard.held_heartbeat = Some(why.clone()));
            return Ok(conflict(&why));
        }
    };
    parts
        .headers
        .insert(CONTENT_LENGTH, HeaderValue::from(outgoing.len()));
    send(guard, parts, path, outgoing, Some(url)).await
}

/// Whoever heartbeats has been looked up. Where we did not see that (we started later), Ironic is asked what it holds,
/// before anything is decided: what it has accepted must not change.
async fn meet(guard: &Arc<Guard>, body: &HeartbeatBody<'_>, era: Era, node_uuid: String) {
    let ask = {
        let mut memory = guard.memory();
        memory.lookup_forwarded = true;
        memory.heartbeat_seen = true;
        if memory.node.is_none() {
            let heartbeat_timeout = memory.heartbeat_timeout();
            memory.node = Some(Node {
                uuid: node_uuid,
                token: None,
                heartbeat_timeout,
            });
        }
        // Without a token in it this may be an IPA that still waits for its own.
        !memory.pin_is_known && body.has_token && era == Era::Current && memory.may_read_back()
    };
    if ask {
        guard.read_back().await;
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
    let reasons: Vec<_> = judgement.reasons.iter().map(|reason| reason.as_str()).collect();
    tracing::warn!(?url, ?action, ?reasons, "IPA sent a bad callback URL");
    guard
        .callback
        .bad(url, UrlSource::Ipa, action, &judgement.reasons);
}

/// Forwards it; `url` is the callback URL in it.
async fn send(
    guard: &Arc<Guard>,
    parts: Parts,
    path: &str,
    body: Bytes,
    url: Option<String>,
) -> Result<Answer, Silence> {
    let started = Instant::now();
    let endpoints = guard.decision().endpoints();
    match forward(
        &guard.client,
        &endpoints,
        parts,
        path,
        full(body),
        guard.ipa_timeout,
    )
    .await
    {
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
            guard
                .metrics
                .heartbeat(Sender::Ipa, silence.heartbeat_result(), started.elapsed());
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
        let result = match status {
            StatusCode::ACCEPTED => HeartbeatResult::Accepted,
            _ => {
                let text = fault::error_text(answer.unwrap_or_default()).unwrap_or_default();
                fault::refusal(status.as_u16(), &text).heartbeat_result()
            }
        };
        guard.metrics.heartbeat(Sender::Ipa, result, started.elapsed());
        let shown = url.unwrap_or_default();
        guard.status.update(|status| {
            status.guard.held_heartbeat = None;
            status.push_heartbeat(shown, result.as_str());
        });
        match (result, url) {
            (HeartbeatResult::Accepted, Some(url)) => guard.accepted(url),
            (HeartbeatResult::PinnedRefused, _) => {
                guard.callback.set_stale(Some(format!(
                    "Ironic holds another callback URL and refuses {shown} of ironic-python-agent: power the node off \
                     or reboot it through Ironic, which makes it forget the old one"
                )));
            }
            _ => {}
        }
        if result == HeartbeatResult::Accepted {
            guard.confirm_soon();
        }
    }

    fn accepted(&self, url: &str) {
        self.callback.set_stale(None);
        let first = self.memory().pin == Pin::None;
        if first {
            self.event(format!("Ironic accepted {url}, and holds it from now on"));
            self.pin(Some(url));
        }
        self.warn_of_a_lost_address();
    }
}
