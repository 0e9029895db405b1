//! One exchange of IPA's with Ironic, as its request and answer show it. Pure; no token leaves this module.

use std::net::SocketAddr;
use std::time::Duration;

use text::{labels, redact};
use tokio::time::Instant;

use crate::http1::{Answer, Asked, Heartbeat, HeartbeatBody, Kind, TokenSeen};
use crate::ironic::{HeartbeatResult, LookupReply, LookupResult, Refusal, fault};

use super::chunk::Who;

labels! {
    /// What was asked of Ironic.
    pub enum Request {
        /// A lookup.
        Lookup = "lookup",
        /// A heartbeat.
        Heartbeat = "heartbeat",
        /// What an inspection has found.
        Inspection = "inspection",
    }
}

impl Request {
    /// Of a request that matters.
    pub fn of(kind: &Kind) -> Option<Self> {
        match kind {
            Kind::Lookup => Some(Self::Lookup),
            Kind::Heartbeat(..) => Some(Self::Heartbeat),
            Kind::Inspection => Some(Self::Inspection),
            Kind::Other => None,
        }
    }
}

/// A request and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// What was asked.
    pub request: Request,
    /// The node that the heartbeat names, or that the lookup found.
    pub node_uuid: Option<String>,
    /// The callback URL of a heartbeat.
    pub agent_url: Option<String>,
    /// What the heartbeat had, or the lookup got, as token; `None` where that was not read.
    pub token: Option<TokenSeen>,
    /// What the lookup got as the heartbeat timeout.
    pub heartbeat_timeout: Option<Duration>,
    /// The HTTP status; `None` where the connection ended before an answer.
    pub status: Option<u16>,
    /// Ironic's text with a refusal, without a token.
    pub text: String,
    /// A lookup was answered 200, and not with what Ironic answers.
    pub unreadable: bool,
    /// From the request to its answer.
    pub duration: Duration,
    /// Whose connection it was.
    pub who: Who,
    /// Where it led.
    pub remote: Option<SocketAddr>,
    /// Whom the request was for, as its `Host` says.
    pub host: Option<String>,
}

impl Exchange {
    /// What a refusal means.
    pub fn refusal(&self) -> Option<Refusal> {
        self.status.filter(|status| *status >= 300).map(|status| fault::refusal(status, &self.text))
    }

    /// What became of a lookup.
    pub fn lookup_result(&self) -> LookupResult {
        match (self.status, self.refusal()) {
            (None, _) => LookupResult::ConnectError,
            (_, Some(refusal)) => refusal.lookup_result(),
            _ if self.unreadable => LookupResult::InvalidResponse,
            _ if self.token == Some(TokenSeen::Masked) => LookupResult::MaskedToken,
            _ => LookupResult::Ok,
        }
    }

    /// What became of a heartbeat.
    pub fn heartbeat_result(&self) -> HeartbeatResult {
        match (self.status, self.refusal()) {
            (None, _) => HeartbeatResult::ConnectError,
            (_, Some(refusal)) => refusal.heartbeat_result(),
            _ => HeartbeatResult::Accepted,
        }
    }
}

/// A request whose answer will come.
#[derive(Debug)]
pub struct Pending {
    /// `None`: nothing of IPA's.
    exchange: Option<Exchange>,
    began: Instant,
}

impl Pending {
    /// Its head has come.
    pub fn new(asked: &Asked, who: Who, remote: Option<SocketAddr>, now: Instant) -> Self {
        let node_uuid = match &asked.kind {
            Kind::Heartbeat(_, node_uuid) => Some(node_uuid.clone()),
            _ => None,
        };
        let exchange = Request::of(&asked.kind).map(|request| Exchange {
            request,
            node_uuid,
            agent_url: None,
            token: None,
            heartbeat_timeout: None,
            status: None,
            text: String::new(),
            unreadable: false,
            duration: Duration::ZERO,
            who,
            remote,
            host: asked.host.clone(),
        });
        Self { exchange, began: now }
    }

    /// Whether it is one that matters.
    pub fn matters(&self) -> bool {
        self.exchange.is_some()
    }

    /// Its body has come.
    pub fn read(&mut self, heartbeat: &Heartbeat) {
        let read = HeartbeatBody::read(&heartbeat.body, heartbeat.era);
        if let (Some(exchange), Some(read)) = (&mut self.exchange, read) {
            (exchange.agent_url, exchange.token) = (Some(read.url), Some(read.token));
        }
    }

    /// Its answer has come.
    pub fn answered(self, answer: &Answer, now: Instant) -> Option<Exchange> {
        let mut exchange = self.unanswered(now)?;
        exchange.status = Some(answer.status);
        let is_read = !answer.body.is_empty() && !answer.cut;
        match exchange.request {
            Request::Lookup if answer.status == 200 && is_read => exchange.read_lookup(&answer.body),
            Request::Heartbeat if answer.status >= 300 => {
                exchange.text = redact(&api_client::error_text(&answer.body).unwrap_or_default());
            }
            _ => {}
        }
        Some(exchange)
    }

    /// The connection has ended before its answer.
    pub fn unanswered(self, now: Instant) -> Option<Exchange> {
        let mut exchange = self.exchange?;
        exchange.duration = now.saturating_duration_since(self.began);
        Some(exchange)
    }
}

impl Exchange {
    fn read_lookup(&mut self, body: &[u8]) {
        let Ok(reply) = LookupReply::parse(body) else {
            self.unreadable = true;
            return;
        };
        self.token = Some(match (reply.agent_token.is_some(), reply.token_masked) {
            (true, _) => TokenSeen::Real,
            (false, true) => TokenSeen::Masked,
            (false, false) => TokenSeen::None,
        });
        self.heartbeat_timeout = Some(reply.heartbeat_timeout);
        self.node_uuid = Some(reply.uuid);
    }
}
