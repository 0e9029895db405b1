//! A heartbeat of IPA's: judged, repaired where it is certain to fail, and its answer recorded.

use callback_url::{Host, Judgement};
use fib::listens;
use text::foreign_text;
use tokio::time::Instant;

use crate::exchange::SeenBy;
use crate::http1::{Answer, Heartbeat, HeartbeatBody, Kind};
use crate::ironic::{HeartbeatResult, LookupResult, Refusal, fault};
use crate::kept::Repaired;
use crate::kernel_thread;
use crate::metrics::UrlAction;
use crate::registrar::{Beat, Became};

use super::Guard;
use super::policy::{HeartbeatAction, HeartbeatFacts, heartbeat, still_ours};

/// What was sent, as its answer needs it.
#[derive(Debug)]
pub struct Sent {
    what: What,
    began: Instant,
}

#[derive(Debug, Default)]
enum What {
    #[default]
    Other,
    Lookup,
    Heartbeat {
        node_uuid: String,
        /// The callback URL in it; empty where it could not be read.
        url: String,
        /// IPA's own URL, where it was repaired.
        repaired: Option<String>,
    },
}

impl Default for Sent {
    fn default() -> Self {
        Self { what: What::Other, began: Instant::now() }
    }
}

impl Sent {
    /// A request that was not read further.
    pub fn of(kind: &Kind) -> Self {
        let what = match kind {
            Kind::Lookup => What::Lookup,
            Kind::Heartbeat(_, node_uuid) => {
                What::Heartbeat { node_uuid: node_uuid.clone(), url: String::new(), repaired: None }
            }
            Kind::Inspection | Kind::Other => What::Other,
        };
        Self { what, ..Self::default() }
    }
}

impl Guard {
    /// Judges a heartbeat; gives its new body where it is repaired.
    pub(super) async fn judge(&self, seen: &Heartbeat) -> (Option<Vec<u8>>, Sent) {
        let Some(read) = HeartbeatBody::read(&seen.body, seen.era) else {
            self.exchanges().heartbeat_begins(Some(&seen.node_uuid));
            return (None, Sent::of(&seen.asked().kind)); // Ironic says what it thinks of that.
        };
        let (action, judgement) = self.decide(&read.url, &seen.node_uuid).await;
        let (body, url) = match action {
            HeartbeatAction::Pass => {
                self.registrar.note(&read.url, UrlAction::Forwarded, &judgement);
                (None, read.url.clone())
            }
            HeartbeatAction::Repair(url) => {
                self.registrar.note(&read.url, UrlAction::Repaired, &judgement);
                (Some(read.with_url(&url)), url)
            }
        };
        self.exchanges().heartbeat_begins(Some(&seen.node_uuid));
        let repaired = body.is_some().then(|| read.url.clone());
        let what = What::Heartbeat { node_uuid: seen.node_uuid.clone(), url, repaired };
        (body, Sent { what, ..Sent::default() })
    }

    async fn decide(&self, url: &str, node_uuid: &str) -> (HeartbeatAction, Judgement) {
        let published = std::sync::Arc::clone(&self.registrar.decisions.borrow());
        let (were_ours, holds_another) = {
            let memory = self.memory();
            (memory.were_ours.clone(), memory.holds_another)
        };
        let (held, kept) = (self.pin().held().url, self.surroundings.kept.read().repaired);
        let repaired = kept.filter(|kept| kept.node_uuid == node_uuid).map(|kept| kept.url);
        let mut facts = HeartbeatFacts {
            decided: published.decision.address.as_ref(),
            operator: self.registrar.operator_host,
            port: self.port,
            local: published.known_local(),
            were_ours: &were_ours,
            listened: true,
            may_repair: !self.pause.holds() && !*self.stopping.borrow(),
            held: held.as_deref(),
            holds_another,
            repaired: repaired.as_deref(),
        };
        if let Some(lost) = repaired.as_deref().filter(|url| !still_ours(url, &facts)) {
            self.forget_repair(&format!("the address of {lost} is no longer assigned here"));
            facts.repaired = None;
        }
        let is_held = |url: &str| held.as_ref().is_some_and(|held| callback_url::same_to_ironic(held, url));
        if facts.repaired.is_some_and(|url| !is_held(url)) {
            self.forget_repair("Ironic does not hold it");
            facts.repaired = None;
        }
        let (action, judgement) = heartbeat(url, &facts);
        let first = match &action {
            HeartbeatAction::Repair(url) if facts.repaired.is_none() => Some(url.clone()),
            _ => None,
        };
        match first {
            // Asked only where it matters: it is a question to the kernel.
            Some(repaired) if !is_listened(&repaired).await => {
                tracing::warn!(
                    url = repaired,
                    "a heartbeat is not repaired: ironic-python-agent does not listen there"
                );
                facts.listened = false;
                heartbeat(url, &facts)
            }
            _ => (action, judgement),
        }
    }

    /// Counts an answer, and remembers what it means.
    pub(super) fn answered(&self, answer: &Answer, sent: &Sent) {
        let text = api_client::error_text(&answer.body).unwrap_or_default();
        let refusal = (answer.status >= 300).then(|| fault::refusal(answer.status, &text));
        match &sent.what {
            What::Other => {}
            What::Lookup => {
                let result = refusal.map_or(LookupResult::Ok, Refusal::lookup_result);
                self.exchanges().lookup(SeenBy::Guard, result, sent.began.elapsed());
                self.event(format!("lookup: {}", result.as_str()));
            }
            What::Heartbeat { node_uuid, url, repaired } => {
                let (status, duration) = (answer.status, sent.began.elapsed());
                let beat = Beat { seen_by: SeenBy::Guard, url, status, refusal, text: &text, duration };
                match self.registrar.heartbeat(&beat) {
                    Became::Accepted { news } => self.accepted(node_uuid, url, repaired.as_deref(), news),
                    Became::Refused { refusal, words } => self.refused(refusal, words, repaired.is_some()),
                    Became::Later => {}
                }
            }
        }
    }

    /// The connection ended before the answer.
    pub(super) fn unanswered(&self, sent: &Sent) {
        match &sent.what {
            What::Other => {}
            What::Lookup => {
                self.exchanges().lookup(SeenBy::Guard, LookupResult::ConnectError, sent.began.elapsed());
            }
            What::Heartbeat { url, .. } => {
                let result = HeartbeatResult::ConnectError;
                self.exchanges().heartbeat(SeenBy::Guard, url, result, sent.began.elapsed());
            }
        }
    }

    fn accepted(&self, node_uuid: &str, url: &str, repaired: Option<&str>, news: bool) {
        self.show(|state| &mut state.refused, None);
        if url.is_empty() {
            return; // It passed unread.
        }
        self.memory().holds_another = false;
        if news {
            self.event(format!("Ironic accepted {}, and holds it from now on", foreign_text(url, None)));
        }
        let kept = self.surroundings.kept.read().repaired;
        if let Some(instead_of) = repaired {
            let repaired = Repaired {
                node_uuid: node_uuid.to_owned(),
                url: url.to_owned(),
                instead_of: instead_of.to_owned(),
                endpoints: self.memory().endpoints.as_slice().to_vec(),
            };
            self.surroundings.kept.update(|contents| contents.repaired = Some(repaired));
            self.depends_on_us(url);
        } else if kept.is_some_and(|kept| !callback_url::same_to_ironic(&kept.url, url)) {
            self.forget_repair("Ironic accepted another callback URL");
        }
    }

    fn refused(&self, refusal: Refusal, words: String, repaired: bool) {
        self.show(|state| &mut state.refused, Some(words));
        if refusal == Refusal::PinnedUrl && repaired {
            self.memory().holds_another = true;
            self.forget_repair("Ironic holds another callback URL");
        }
    }

    /// A repaired URL is not that of IPA itself: without the daemon its own would be refused.
    pub(super) fn depends_on_us(&self, url: &str) {
        let url = foreign_text(url, None);
        let words = format!("heartbeats of this node are repaired to {url}: it depends on the guard");
        if self.show(|state| &mut state.depends, Some(words.clone())) {
            self.event(words);
        }
    }

    fn forget_repair(&self, why: &str) {
        self.surroundings.kept.update(|contents| contents.repaired = None);
        if self.show(|state| &mut state.depends, None) {
            self.event(format!("heartbeats are no longer repaired: {why}"));
        }
    }
}

/// Whether something listens where this URL leads, or nothing listens on its port at all: then IPA is not there yet.
async fn is_listened(url: &str) -> bool {
    let port = callback_url::port(url).unwrap_or_default();
    let ip = match callback_url::host(url) {
        Some(Host::Ip(ip)) => ip,
        _ => return true, // A name that the operator gave.
    };
    let question = move || Ok::<_, fib::RtnlError>(listens(Some(ip), port)? || !listens(None, port)?);
    matches!(kernel_thread::ask(question).await, Some(Ok(true)))
}
