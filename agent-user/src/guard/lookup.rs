//! A lookup of IPA's: held until it is known to have started with the right address, then let through and learned
//! from. The token goes to whoever looks up first, so IPA is never restarted afterwards.

use std::sync::Arc;
use std::time::Duration;

use callback_url::Host;
use hyper::StatusCode;
use hyper::http::request::Parts;
use tokio::time::Instant;

use crate::exchange::SeenBy;
use crate::ironic::{LookupReply, LookupResult, fault};

use super::Guard;
use super::answer::{Answer, conflict};
use super::memory::{Node, RestartState};
use super::policy::{LookupAction, LookupFacts, lookup};
use super::relay::{AnyBody, AtEnd, passing};
use super::request::Era;
use super::upstream::{Silence, forward};

/// Handles one lookup.
///
/// # Errors
/// Where Ironic cannot be reached: then IPA gets no answer.
pub async fn handle(
    guard: &Arc<Guard>,
    parts: Parts,
    path: &str,
    body: AnyBody,
    started_with: Option<Host>,
    era: Era,
) -> Result<Answer, Silence> {
    match decide(guard, started_with.as_ref()) {
        LookupAction::Hold { why, restart } => {
            guard.exchanges().lookup(SeenBy::Guard, LookupResult::Held, Duration::ZERO);
            guard.gate_holds(&why, restart);
            Ok(conflict(&why))
        }
        LookupAction::Forward(although) => {
            if let Some(words) = although {
                tracing::error!("letting a lookup through although {words}");
                guard.event(format!("lookup let through although {words}"));
            }
            let under_way = UnderWay::begin(guard);
            pass(guard, parts, path, body, era, under_way).await
        }
    }
}

/// A lookup between us and Ironic. Where it ends unseen (IPA broke off, Ironic did), the token may be spent.
struct UnderWay {
    guard: Arc<Guard>,
    spends_token: bool,
}

impl UnderWay {
    fn begin(guard: &Arc<Guard>) -> Self {
        guard.memory().lookups_under_way += 1;
        Self { guard: Arc::clone(guard), spends_token: true }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut memory = self.guard.memory();
        memory.lookups_under_way = memory.lookups_under_way.saturating_sub(1);
        memory.token_spent |= self.spends_token;
    }
}

fn decide(guard: &Guard, started_with: Option<&Host>) -> LookupAction {
    let decided = guard.decision().address;
    let on_disk = guard.surroundings.dropin.borrow().address.clone();
    let mut memory = guard.memory();
    let facts = LookupFacts {
        decided: decided.as_ref(),
        started_with,
        forwarded_before: memory.token_may_be_spent(),
        held_for: memory.held_since.map(|since| since.elapsed()),
        wait: guard.wait,
        can_restart: guard.restarts.is_some() && memory.restart != RestartState::Failed,
        is_restarting: memory.restart == RestartState::Running,
        restarted_with: memory.restarted_with.as_ref(),
        on_disk: on_disk.as_ref(),
    };
    let action = lookup(&facts);
    match action {
        LookupAction::Hold { .. } => {
            memory.held_since.get_or_insert_with(Instant::now);
        }
        LookupAction::Forward(None) => memory.held_since = None,
        // Where Ironic is not there yet, the next one is let through as well.
        LookupAction::Forward(Some(_)) => {}
    }
    action
}

async fn pass(
    guard: &Arc<Guard>,
    parts: Parts,
    path: &str,
    body: AnyBody,
    era: Era,
    mut under_way: UnderWay,
) -> Result<Answer, Silence> {
    let started = Instant::now();
    guard.gate_opens();
    let endpoints = guard.decision().endpoints();
    match forward(&guard.client, &endpoints, parts, path, body, &guard.patience()).await {
        Ok((response, connection)) => {
            guard.witness(&connection);
            let status = response.status();
            // Refused: no token was given out.
            under_way.spends_token = status.is_success();
            let at_end: AtEnd = Box::new(move |body| {
                learn(&under_way.guard, status, body.as_deref(), era, started);
                drop(under_way);
            });
            Ok(response.map(|body| passing(body, Some(at_end))))
        }
        Err(silence) => {
            guard.exchanges().lookup(SeenBy::Guard, silence.lookup_result(), started.elapsed());
            under_way.spends_token = silence.may_have_been_served();
            Err(silence)
        }
    }
}

/// Takes from the answer what the guard needs later.
fn learn(guard: &Guard, status: StatusCode, body: Option<&[u8]>, era: Era, started: Instant) {
    let result = match (status, body) {
        (StatusCode::OK, Some(body)) => match (LookupReply::parse(body), era) {
            (Ok(reply), _) => {
                let result = reply.result();
                remember(guard, reply);
                result
            }
            // Mitaka's reply has another shape, and no token.
            (Err(_), Era::VendorPassthru) => LookupResult::Ok,
            (Err(problem), Era::Current) => {
                tracing::warn!(problem, "Ironic's answer to IPA's lookup cannot be read");
                LookupResult::InvalidResponse
            }
        },
        (StatusCode::OK, None) => LookupResult::InvalidResponse,
        (status, body) => {
            let text = fault::error_text(body.unwrap_or_default()).unwrap_or_default();
            fault::refusal(status.as_u16(), &text).lookup_result()
        }
    };
    guard.exchanges().lookup(SeenBy::Guard, result, started.elapsed());
    guard.event(format!("lookup: {}", result.as_str()));
}

fn remember(guard: &Guard, reply: LookupReply) {
    let holds_another = guard.pin().held().url.is_some() && guard.memory().heartbeats_as_another(&reply.uuid);
    if holds_another {
        guard.event(format!("a lookup of {}, which is another node", reply.uuid));
        return;
    }
    guard.surroundings.metrics.show_heartbeat_timeout(reply.heartbeat_timeout);
    if let Some(url) = &reply.agent_url {
        guard.pin().judge(url);
    }
    guard.pin().take(reply.agent_url.as_deref());
    let mut memory = guard.memory();
    let known = memory.node.take().and_then(|node| node.token);
    memory.node = Some(Node {
        uuid: reply.uuid,
        token: reply.agent_token.or(known),
        token_required: reply.agent_token_required,
        heartbeat_timeout: reply.heartbeat_timeout,
    });
    memory.looked_up_at = Some(Instant::now());
}
