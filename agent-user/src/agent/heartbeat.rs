//! The heartbeats of one session.

use std::time::Duration;

use callback_url::{Context, Host};
use fib::listens;
use tokio::time::{Instant, sleep};

use super::{Agent, AgentPhase, Session, told};
use crate::advertise::{Decision, Origin};
use crate::ironic::schedule::{forced_wait, heartbeat_interval, heartbeat_retry};
use crate::ironic::{Connection, Heartbeat, HeartbeatResult, IronicError};
use crate::metrics::{Trigger, UrlAction, UrlSource};
use crate::pin::ReadBack;
use crate::recent::Moment;

/// Ironic's conductor records a heartbeat after it was answered (ironic, `conductor/manager.py`, `heartbeat`, spawns a
/// worker): before this pause nothing may be there to read back.
const READ_BACK_PAUSE: Duration = Duration::from_secs(1);
/// How often it is asked whether the agent listens by now.
const LISTENER_POLL: Duration = Duration::from_secs(1);

/// What to do after a heartbeat.
enum Next {
    /// Send another one after this pause, sooner where the address changes.
    After(Duration, Trigger),
    /// The token is no longer good.
    LookUp,
}

impl Agent {
    /// Sends heartbeats until Ironic refuses the token.
    pub(super) async fn send_heartbeats(&mut self, mut session: Session) {
        let mut trigger = Trigger::First;
        let mut last_sent: Option<Instant> = None;
        loop {
            if let Some(at) = last_sent {
                sleep(forced_wait(at.elapsed())).await;
            }
            let (decision, url) = self.listening().await;
            self.phase(AgentPhase::Heartbeating);
            if !self.may_leave(&decision, &url) {
                self.sleep_while_url_is(Some(&url), session.heartbeat_timeout).await;
                continue;
            }
            last_sent = Some(Instant::now());
            let outcome = self.send(&decision, &url, &session, trigger).await;
            let accepted = outcome.is_ok();
            let next = self.after(outcome, &url, &mut session).await;
            if accepted && !self.pin.held().confirmed {
                sleep(READ_BACK_PAUSE).await;
                self.read_back(&url, &mut session).await;
            }
            match next {
                Next::LookUp => {
                    sleep(heartbeat_retry(&mut self.rng)).await;
                    return;
                }
                Next::After(pause, next) => {
                    self.sleep_while_url_is(Some(&url), pause).await;
                    let changed = self.decisions.borrow().decision.callback_url.as_ref() != Some(&url);
                    trigger = if changed { Trigger::AddressChange } else { next };
                }
            }
        }
    }

    /// Waits until there is an address and something listens on it: a heartbeat makes the conductor call back, and
    /// if it finds nobody it fails the node.
    async fn listening(&mut self) -> (Decision, String) {
        let mut said = false;
        loop {
            let decision = self.addressed().await;
            let address = match (&decision.address, decision.origin) {
                (Some(Host::Ip(ip)), Some(origin)) if origin != Origin::Operator => Some(*ip),
                _ => None, // The operator's host may be translated on the way here.
            };
            let listening = self.without_listener
                || listens(address, self.port).unwrap_or_else(|error| {
                    tracing::debug!(%error, "whether somebody listens cannot be asked; assuming so");
                    true
                });
            if let (true, Some(url)) = (listening, decision.callback_url.clone()) {
                return (decision, url);
            }
            if !said {
                tracing::warn!(
                    port = self.port,
                    "nothing listens on the advertised port: no heartbeat until it does"
                );
                said = true;
            }
            self.phase(AgentPhase::AwaitingListener);
            sleep(LISTENER_POLL).await;
        }
    }

    /// The last look at a URL before it leaves. Ours are good by construction, and the operator's host is the
    /// operator's; anything else stays here.
    fn may_leave(&self, decision: &Decision, url: &str) -> bool {
        let judgement = callback_url::judge(url, &Context::default());
        if judgement.reasons.is_empty() || decision.origin == Some(Origin::Operator) {
            return true;
        }
        let words: Vec<_> = judgement.reasons.iter().map(|reason| reason.words()).collect();
        let words = format!("not sending the bad callback URL {url:?}: {}", words.join("; "));
        tracing::error!("{words}");
        self.exchanges.bad_url(url, UrlSource::Sidecar, UrlAction::Held, &judgement.reasons);
        self.failed(words);
        false
    }

    async fn send(
        &self,
        decision: &Decision,
        url: &str,
        session: &Session,
        trigger: Trigger,
    ) -> Result<(), IronicError> {
        let heartbeat = Heartbeat {
            uuid: session.uuid.clone(),
            callback_url: url.to_owned(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            agent_token: session.token.clone(),
            agent_verify_ca: None,
            agent_status: None,
            agent_status_message: None,
        };
        let connection =
            self.exchanges.send(&self.client, &decision.endpoints(), &heartbeat, trigger).await?;
        let Connection { url, remote, local } = &connection;
        self.reach.answered(decision, url, remote.ip(), local.ip());
        Ok(())
    }

    async fn after(&mut self, outcome: Result<(), IronicError>, url: &str, session: &mut Session) -> Next {
        let interval = heartbeat_interval(session.heartbeat_timeout, &mut self.rng);
        let Err(error) = outcome else {
            tracing::info!(url, next_in = ?interval, "heartbeat accepted");
            self.pin.accepted(url);
            self.pin.set_stale(None);
            self.state.send_modify(|state| {
                state.last_accepted = Some(Moment::now());
                state.last_failure = None;
            });
            return Next::After(interval, Trigger::Interval);
        };
        let words = told(&error, &self.decisions.borrow().decision);
        tracing::warn!(url, error = words, "heartbeat failed");
        self.failed(format!("heartbeat: {words}"));
        match error.heartbeat_result() {
            HeartbeatResult::PinnedRefused => {
                if self.finds_another_pin(url, session).await {
                    return Next::After(heartbeat_retry(&mut self.rng), Trigger::Retry);
                }
                self.pin.refused(url);
                Next::After(interval, Trigger::Interval)
            }
            HeartbeatResult::TokenRefused => Next::LookUp,
            _ => Next::After(heartbeat_retry(&mut self.rng), Trigger::Retry),
        }
    }

    /// A heartbeat whose answer was lost may have been recorded all the same. Where what we know does not explain the
    /// refusal, a lookup tells what Ironic holds, and the decision may return to it; true where it is news.
    async fn finds_another_pin(&mut self, url: &str, session: &mut Session) -> bool {
        let held = self.pin.held();
        if held.url.is_some() && !held.is(url) {
            return false;
        }
        let Ok(recorded) = self.recorded_url(session).await else {
            return false;
        };
        let news = recorded.as_ref().is_some_and(|recorded| !callback_url::same_to_ironic(recorded, url));
        if let (true, Some(recorded)) = (news, &recorded) {
            tracing::warn!(?recorded, url, "Ironic holds another callback URL than we knew");
            self.pin.judge(recorded);
        }
        self.pin.take(recorded.as_deref());
        news
    }

    /// What Ironic holds. A lookup after our own is harmless.
    async fn recorded_url(&mut self, session: &mut Session) -> Result<Option<String>, IronicError> {
        let reply = self.ask_for_node().await?;
        // A power cycle in between made this the first lookup: the token is ours again.
        if self.given_token.is_none() && reply.agent_token.is_some() {
            session.token = reply.agent_token;
        }
        Ok(reply.agent_url)
    }

    /// 202 does not mean recorded.
    async fn read_back(&mut self, url: &str, session: &mut Session) {
        match self.recorded_url(session).await {
            Ok(recorded) if self.pin.compare(recorded.as_deref()) == ReadBack::Confirmed => {
                tracing::info!(url, "Ironic has recorded the callback URL");
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "the recorded callback URL could not be read back"),
        }
    }
}
