//! What IPA's heartbeats, and Ironic's answers to them, mean for this node: the same whoever saw them, the guard or sight.

use std::sync::Arc;
use std::time::Duration;

use callback_url::{Context, Host, Judgement, Local, judge};
use text::foreign_text;
use tokio::sync::watch;

use crate::exchange::{Exchanges, SeenBy};
use crate::ironic::{HeartbeatResult, Refusal};
use crate::metrics::{UrlAction, UrlSource};
use crate::pin::{FORGET, Pin};
use crate::watch::Published;

/// A heartbeat that was answered.
#[derive(Debug)]
pub struct Beat<'a> {
    /// Who saw it.
    pub seen_by: SeenBy,
    /// The callback URL that reached Ironic; empty where it could not be read.
    pub url: &'a str,
    /// The HTTP status.
    pub status: u16,
    /// What a status other than success means.
    pub refusal: Option<Refusal>,
    /// Ironic's text with it.
    pub text: &'a str,
    /// From the request to its answer.
    pub duration: Duration,
}

/// What became of a heartbeat.
#[derive(Debug, PartialEq, Eq)]
pub enum Became {
    /// Accepted; `news`: Ironic holds its URL from now on.
    Accepted { news: bool },
    /// Refused: the same heartbeat will be refused again, for this reason.
    Refused { refusal: Refusal, words: String },
    /// A lock, an outage: IPA comes again.
    Later,
}

/// Records heartbeats of IPA's, and keeps what they mean; cheap to clone.
#[derive(Debug, Clone)]
pub struct Registrar {
    /// What was decided, and this machine's addresses.
    pub decisions: watch::Receiver<Arc<Published>>,
    /// The operator gave the advertise host: it need not be assigned here.
    pub operator_host: bool,
    /// What Ironic holds.
    pub pin: Pin,
    pub exchanges: Exchanges,
}

impl Registrar {
    /// Judges a callback URL by what this machine has now.
    pub fn judge(&self, url: &str) -> Judgement {
        let published = Arc::clone(&self.decisions.borrow());
        judge(url, &context(published.known_local(), published.decision.address.as_ref(), self.operator_host))
    }

    /// Records what is wrong with a callback URL of IPA's, and what is doubtful.
    pub fn note(&self, url: &str, action: UrlAction, judgement: &Judgement) {
        self.exchanges.warn(&judgement.warnings);
        if judgement.reasons.is_empty() {
            return;
        }
        let url = &foreign_text(url, None);
        let reasons: Vec<_> = judgement.reasons.iter().map(|reason| reason.as_str()).collect();
        tracing::warn!(url, action = action.as_str(), ?reasons, "IPA sent a bad callback URL");
        self.exchanges.bad_url(url, UrlSource::Ipa, action, &judgement.reasons);
    }

    /// Records an answered heartbeat. Of one that was accepted or refused the pin hears.
    pub fn heartbeat(&self, beat: &Beat<'_>) -> Became {
        let result = beat.refusal.map_or(HeartbeatResult::Accepted, Refusal::heartbeat_result);
        self.exchanges.heartbeat(beat.seen_by, beat.url, result, beat.duration);
        match beat.refusal {
            None if beat.url.is_empty() => Became::Accepted { news: false },
            None => {
                let news = self.pin.accepted(beat.url);
                self.pin.set_stale(self.lost_address());
                Became::Accepted { news }
            }
            Some(_) if !matches!(beat.status, 300..=400) => Became::Later,
            Some(refusal) => {
                let words = self.refused(refusal, beat);
                Became::Refused { refusal, words }
            }
        }
    }

    fn refused(&self, refusal: Refusal, beat: &Beat<'_>) -> String {
        let reason = match refusal {
            Refusal::Redirect => "a redirect, which ironic-python-agent does not follow".to_owned(),
            _ => foreign_text(beat.text, None),
        };
        let words = format!("Ironic refused the heartbeat with status {}: {reason}", beat.status);
        let words = format!("{words}{}", refusal.advice());
        tracing::error!(url = foreign_text(beat.url, None), "{words}");
        match refusal {
            Refusal::PinnedUrl => self.pin.refused(beat.url),
            Refusal::PinnedCertificate => self.pin.set_stale(Some(format!(
                "Ironic holds another certificate than the one with which ironic-python-agent serves now (was it \
                 restarted?): {FORGET}"
            ))),
            _ => {}
        }
        words
    }

    /// Ironic goes on accepting the URL of an address that this node has lost: nobody else would say so.
    fn lost_address(&self) -> Option<String> {
        let decided = self.decisions.borrow().decision.address.clone()?;
        let held = self.pin.held().url?;
        let Some(Host::Ip(held_ip)) = callback_url::host(&held) else { return None };
        let lost = !self.operator_host && decided != Host::Ip(held_ip);
        let held = foreign_text(&held, None);
        lost.then(|| format!("Ironic holds {held}, and the address of this node is {decided} now: {FORGET}"))
    }
}

/// By what a callback URL of IPA's is judged. Ironic does not require TLS of the daemon here: where it does, it refuses an http
/// URL before it pins it.
pub fn context(local: Option<&Local>, decided: Option<&Host>, operator_host: bool) -> Context {
    let local = local.filter(|_| !operator_host).cloned();
    Context { local: local.map(|local| Local { decided: decided.cloned(), ..local }), ..Context::default() }
}
