//! Exchanges that were seen are recorded: as IPA's for this node, or as foreign ones.

use std::time::Duration;

use callback_url::Scheme;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

use crate::exchange::SeenBy;
use crate::http1::TokenSeen;
use crate::ipa::place::Running;
use crate::ipa::restart::Drain;
use crate::metrics::{Metrics, UrlAction};
use crate::recent::Moment;
use crate::registrar::{Beat, Became, Registrar};
use crate::watch::{Endpoints, ResolvedTarget};

use super::chunk::Seen;
use super::flow::Event;
use super::flows::Flows;
use super::parse::{Exchange, Request};
use super::state::{ExchangeSeen, SightState};

/// Within this time every source has looked several times: that of TLS looks every 50 ms, that of http at once.
const SETTLED: Duration = Duration::from_millis(300);

/// The user whose exchanges decide something: IPA runs as root.
const ROOT: u32 = 0;

/// Takes what the sources give.
#[derive(Debug)]
pub struct Tracker {
    flows: Flows,
    endpoints: Endpoints,
    targets: watch::Receiver<Vec<ResolvedTarget>>,
    running: watch::Receiver<Running>,
    /// This node, once it is known.
    node: Option<String>,
    registrar: Registrar,
    metrics: Metrics,
    state: watch::Sender<SightState>,
    /// Asks what was seen of an IPA.
    questions: mpsc::Receiver<Drain>,
}

impl Tracker {
    /// Nothing has been seen yet. What is seen appears in `state`.
    pub fn new(
        targets: watch::Receiver<Vec<ResolvedTarget>>,
        running: watch::Receiver<Running>,
        registrar: Registrar,
        metrics: Metrics,
        state: watch::Sender<SightState>,
        questions: mpsc::Receiver<Drain>,
    ) -> Self {
        let (flows, endpoints) = (Flows::default(), Endpoints::default());
        Self { flows, endpoints, targets, running, node: None, registrar, metrics, state, questions }
    }

    /// Works as long as a source does.
    pub async fn run(mut self, mut sources: mpsc::Receiver<Seen>) {
        loop {
            tokio::select! {
                seen = sources.recv() => match seen {
                    Some(seen) => self.take(&seen),
                    None => return,
                },
                Some(question) = self.questions.recv() => self.answer(question, &mut sources).await,
            }
        }
    }

    /// Reads what the sources have before it answers. The kernel has given them everything already, as the IPA is stopped.
    async fn answer(&mut self, question: Drain, sources: &mut mpsc::Receiver<Seen>) {
        let until = Instant::now() + SETTLED;
        while let Ok(Some(seen)) = timeout_at(until, sources.recv()).await {
            self.take(&seen);
        }
        let targets = self.targets.borrow().clone();
        let running = self.running.borrow().clone().filter(|(id, _)| *id == question.ipa);
        let program = running.and_then(|(_, started)| started.program);
        let urls = targets.iter().map(|target| &target.url);
        let record = self.state.borrow().record(urls, question.ipa, program.as_deref());
        let _ = question.answer.send(record); // Nobody waits any longer.
    }

    fn take(&mut self, seen: &Seen) {
        if let Seen::Lost(count) = seen {
            self.metrics.probe_events_lost(*count);
            self.state.send_modify(|state| state.take_lost(*count));
        }
        for event in self.flows.take(seen, Instant::now()) {
            match event {
                Event::Began(Request::Lookup) => self.state.send_modify(|state| {
                    state.lookups_begun += 1;
                    state.last_lookup = Some(Moment::now());
                }),
                Event::Began(Request::Heartbeat) => self.registrar.exchanges.heartbeat_begins(None),
                Event::Began(Request::Inspection) => {}
                Event::Ended(exchange) => self.ended(&exchange),
            }
        }
        let given_up = self.flows.take_given_up();
        if given_up > 0 {
            tracing::debug!(given_up, "exchanges with Ironic were seen in part only");
            self.state.send_modify(|state| state.take_given_up(given_up));
        }
    }

    fn ended(&mut self, exchange: &Exchange) {
        let seen_by = self.whose(exchange);
        let shown = ExchangeSeen::of(exchange, seen_by);
        if seen_by == SeenBy::Foreign {
            self.state.send_modify(|state| state.foreign.push(shown));
        } else {
            let node_uuid = self.node.clone();
            self.state.send_modify(|state| {
                state.exchanges.push(shown);
                state.node_uuid = node_uuid;
            });
        }
        match exchange.request {
            Request::Lookup => self.lookup(seen_by, exchange),
            Request::Heartbeat => self.heartbeat(seen_by, exchange),
            Request::Inspection => self.registrar.exchanges.other(seen_by),
        }
    }

    fn lookup(&self, seen_by: SeenBy, exchange: &Exchange) {
        self.registrar.exchanges.lookup(seen_by, exchange.lookup_result(), exchange.duration);
        if let (SeenBy::Sight, Some(timeout)) = (seen_by, exchange.heartbeat_timeout) {
            self.registrar.exchanges.heartbeat_timeout(timeout);
        }
    }

    fn heartbeat(&self, seen_by: SeenBy, exchange: &Exchange) {
        let url = exchange.agent_url.as_deref().unwrap_or_default();
        let (result, duration) = (exchange.heartbeat_result(), exchange.duration);
        if seen_by == SeenBy::Foreign {
            return self.registrar.exchanges.heartbeat(seen_by, url, result, duration);
        }
        if exchange.agent_url.is_some() {
            self.registrar.note(url, UrlAction::None, &self.registrar.judge(url));
        }
        let Some(status) = exchange.status else {
            return self.registrar.exchanges.heartbeat(seen_by, url, result, duration);
        };
        let beat = Beat { seen_by, url, status, refusal: exchange.refusal(), text: &exchange.text, duration };
        match self.registrar.heartbeat(&beat) {
            Became::Accepted { news } => {
                self.state.send_modify(|state| state.refused = None);
                if news {
                    tracing::info!(
                        url = text::foreign_text(url, None),
                        "Ironic holds the callback URL of IPA"
                    );
                }
            }
            Became::Refused { words, .. } => self.state.send_modify(|state| state.refused = Some(words)),
            Became::Later => {}
        }
    }

    /// It counts for this node where root of this network namespace spoke to the API about this node.
    fn whose(&mut self, exchange: &Exchange) -> SeenBy {
        let who = exchange.who;
        if who.uid != Some(ROOT) || !who.own_namespace || !self.is_api(exchange) {
            return SeenBy::Foreign;
        }
        let Some(named) = &exchange.node_uuid else { return SeenBy::Sight };
        // The first lookup after power on, and nobody else's, gets a token.
        let is_new = exchange.request == Request::Lookup && exchange.token == Some(TokenSeen::Real);
        let is_accepted = exchange.status.is_some_and(|status| status < 300);
        match &self.node {
            Some(node) if node == named => SeenBy::Sight,
            Some(_) if !is_new => SeenBy::Foreign,
            _ => {
                if is_accepted {
                    self.node = Some(named.clone());
                }
                SeenBy::Sight
            }
        }
    }

    /// libssl does not know where its bytes go: of what is seen there the `Host` counts.
    fn is_api(&mut self, exchange: &Exchange) -> bool {
        let targets = self.targets.borrow_and_update();
        self.endpoints.learn(targets.iter().flat_map(ResolvedTarget::endpoints));
        match (exchange.remote, &exchange.host) {
            (Some(remote), _) => self.endpoints.contains(remote),
            (None, Some(host)) => targets.iter().any(|target| {
                let url = &target.url;
                url.scheme == Scheme::Https
                    && (host.eq_ignore_ascii_case(&url.authority())
                        || host.eq_ignore_ascii_case(&format!("{}:{}", url.host, url.port)))
            }),
            (None, None) => false,
        }
    }
}

#[cfg(test)]
#[path = "tracker_tests.rs"]
mod tests;
