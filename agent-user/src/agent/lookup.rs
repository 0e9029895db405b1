//! The lookup: which node this is, and what its token is

use std::time::Duration;

use tokio::time::Instant;

use super::beside::Moment;
use super::{Agent, AgentPhase, Session};
use crate::exchange::SeenBy;
use crate::ironic::schedule::LookupSchedule;
use crate::ironic::{IronicError, LookupQuery, LookupReply, LookupResult};
use crate::nics;

/// While another program has the token only a power cycle through Ironic helps; it is looked for at this pace.
const WITHOUT_TOKEN: Duration = Duration::from_secs(30);

impl Agent {
    /// Tries until it succeeds. IPA would exit after its lookup timeout; the daemon reports that and begins again.
    pub(super) async fn look_up(&mut self) -> Session {
        let (interval, timeout) = (self.lookup.interval, self.lookup.timeout);
        let mut schedule = LookupSchedule::new(interval, timeout);
        let mut started = Instant::now();
        loop {
            if self.leaves_it_to_ipa(Moment::First).await {
                continue;
            }
            let url = self.addressed().await.callback_url;
            self.phase(AgentPhase::LookingUp);
            let prepared = self.prepare().await;
            // Again, as late as can be: all of the above may have taken long.
            if self.leaves_it_to_ipa(Moment::BeforeLookup).await {
                continue;
            }
            let sought = prepared.as_ref().map(LookupQuery::sought).unwrap_or_default();
            let reply = match prepared {
                Ok(query) => self.ask_for_node(&query).await,
                Err(error) => Err(error),
            };
            let pause = match reply {
                Ok(reply) => match self.session(reply) {
                    Some(session) => return session,
                    None => WITHOUT_TOKEN,
                },
                Err(error) => {
                    let mut words = self.decisions.borrow().decision.explained(&error);
                    if error.lookup_result() == LookupResult::NotFound {
                        words = format!("{words} (asked for {sought})");
                    }
                    tracing::warn!(error = words, "lookup failed");
                    self.failed(format!("lookup: {words}"));
                    if schedule.is_overdue(started.elapsed()) {
                        tracing::error!(?timeout, "no lookup has succeeded in this time; starting over");
                        schedule = LookupSchedule::new(interval, timeout);
                        started = Instant::now();
                    }
                    let conflict = error.lookup_result() == LookupResult::Conflict;
                    schedule.after_failure(conflict, &mut self.rng)
                }
            };
            self.sleep_while_url_is(url.as_deref(), pause).await;
        }
    }

    /// Asks whatever a lookup needs to know first, so that afterwards nothing delays it. A failure counts as one of the
    /// lookup.
    async fn prepare(&self) -> Result<LookupQuery, IronicError> {
        let query = self.query().await;
        let endpoints = self.decisions.borrow().decision.endpoints();
        let started = Instant::now();
        let prepared = self.client.prepare_lookup(&endpoints).await;
        if let Err(error) = &prepared {
            self.exchanges.lookup(SeenBy::Own, error.lookup_result(), started.elapsed());
        }
        prepared.map(|()| query)
    }

    /// What Ironic knows this node by.
    pub(super) async fn query(&self) -> LookupQuery {
        LookupQuery { addresses: nics::ask(&self.metrics).await, node_uuid: self.node_uuid.clone() }
    }

    /// One lookup, counted.
    pub(super) async fn ask_for_node(&mut self, query: &LookupQuery) -> Result<LookupReply, IronicError> {
        let endpoints = self.decisions.borrow().decision.endpoints();
        let answer = self.exchanges.look_up(&self.client, &endpoints, query, None).await?;
        self.witness(&answer.connection).await;
        Ok(answer.value)
    }

    /// What the reply is good for; `None` where heartbeats would be refused for want of the token.
    fn session(&mut self, reply: LookupReply) -> Option<Session> {
        let token = self.given_token.clone().or(reply.agent_token);
        self.node_uuid = Some(reply.uuid.clone());
        self.state.send_modify(|state| state.node_uuid = Some(reply.uuid.clone()));
        if token.is_none() && (reply.token_masked || reply.agent_token_required) {
            let words = "Ironic has given this node's agent token to an earlier lookup, and heartbeats without it are \
                         refused: power-cycle the node through Ironic, or hand the token out with \
                         --ironic.agent-token-file or the kernel parameter ipa-agent-token";
            tracing::error!(node = reply.uuid, "{words}");
            self.phase(AgentPhase::WithoutToken);
            self.failed(words.to_owned());
            return None;
        }
        tracing::info!(node = reply.uuid, heartbeat_timeout = ?reply.heartbeat_timeout, "looked up");
        self.exchanges.heartbeat_timeout(reply.heartbeat_timeout);
        self.state.send_modify(|state| state.last_failure = None);
        if let Some(url) = &reply.agent_url {
            self.pin.judge(url);
        }
        self.pin.take(reply.agent_url.as_deref());
        Some(Session { uuid: reply.uuid, token, heartbeat_timeout: reply.heartbeat_timeout })
    }
}
