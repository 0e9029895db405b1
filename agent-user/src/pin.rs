//! The one home of what Ironic holds as the callback URL of this node, as far as the daemon knows. Agent mode and guard write it;
//! the decision, the pages and readiness read it.

use std::net::IpAddr;

use callback_url::{Context, Reason, judge, same_to_ironic};
use text::foreign_text;
use tokio::sync::watch;

use crate::exchange::Exchanges;
use crate::metrics::{Metrics, UrlAction, UrlSource};

/// What helps where Ironic holds what is no longer so.
pub const FORGET: &str = "power the node off or reboot it through Ironic, which makes it forget the old one";

/// What Ironic holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// The URL, as Ironic has it; `None`: nothing, as far as known.
    pub url: Option<String>,
    /// Ironic has answered what it holds: `url` is not only what the daemon supposes at the start.
    pub known: bool,
    /// What Ironic has recorded was compared with what it accepted, and equals it.
    pub confirmed: bool,
    /// Where Ironic holds a URL that is no longer this node's: what the operator has to do.
    pub stale: Option<String>,
    /// Ironic has accepted a heartbeat, and has recorded nothing.
    pub unrecorded: bool,
    /// IPA is known to have started with this address, and its lookup has passed.
    pub committed: Option<IpAddr>,
}

impl Held {
    /// The URL, fit to be shown.
    pub fn shown(&self) -> Option<String> {
        self.url.as_deref().map(|url| foreign_text(url, None))
    }

    /// Whether Ironic holds this URL.
    pub fn is(&self, url: &str) -> bool {
        self.url.as_ref().is_some_and(|held| same_to_ironic(held, url))
    }
}

/// What a read-back has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadBack {
    /// Ironic has recorded what it accepted.
    Confirmed,
    /// Ironic has recorded another URL, which counts from now on.
    Another,
    /// Ironic holds a URL that the daemon did not know of.
    News,
    /// Ironic accepted a heartbeat and has recorded nothing. What it accepted still counts.
    Unrecorded,
    /// Ironic holds nothing, as supposed.
    Nothing,
}

/// The home; cheap to clone.
#[derive(Debug, Clone)]
pub struct Pin {
    held: watch::Sender<Held>,
    exchanges: Exchanges,
    metrics: Metrics,
}

impl Pin {
    /// Nothing is known yet.
    pub fn new(exchanges: Exchanges, metrics: Metrics) -> Self {
        Self { held: watch::Sender::default(), exchanges, metrics }
    }

    /// Where changes appear: the decision depends on them.
    pub fn subscribe(&self) -> watch::Receiver<Held> {
        self.held.subscribe()
    }

    /// As of now.
    pub fn held(&self) -> Held {
        self.held.borrow().clone()
    }

    /// IPA is known to have started with this address, and its lookup has passed; `None`: nothing of the kind is known.
    pub fn commit(&self, address: Option<IpAddr>) {
        self.held.send_if_modified(|held| std::mem::replace(&mut held.committed, address) != address);
    }

    /// Ironic has answered that it holds this.
    pub fn take(&self, url: Option<&str>) {
        self.metrics.show_pinned(url.is_some());
        self.held.send_if_modified(|held| {
            let another = held.url.as_deref() != url;
            let changed = another || !held.known;
            held.confirmed &= !another;
            (held.url, held.known) = (url.map(str::to_owned), true);
            changed
        });
    }

    /// Ironic has accepted a heartbeat with this URL. True where that is news.
    pub fn accepted(&self, url: &str) -> bool {
        if self.held.borrow().is(url) {
            return false;
        }
        self.take(Some(url));
        true
    }

    /// Compares what Ironic has recorded with what the daemon supposes, and takes it for the truth.
    pub fn compare(&self, recorded: Option<&str>) -> ReadBack {
        let supposed = self.held().url;
        let outcome = match (recorded, supposed) {
            (None, Some(url)) => {
                self.log_unrecorded(&url);
                return ReadBack::Unrecorded;
            }
            (Some(recorded), Some(url)) if same_to_ironic(recorded, &url) => ReadBack::Confirmed,
            (Some(recorded), Some(url)) => {
                self.log_another(recorded, &url);
                ReadBack::Another
            }
            (Some(recorded), None) => {
                self.judge(recorded);
                ReadBack::News
            }
            (None, None) => ReadBack::Nothing,
        };
        self.take(recorded);
        if outcome == ReadBack::Confirmed {
            self.held.send_modify(|held| (held.confirmed, held.unrecorded) = (true, false));
        }
        outcome
    }

    /// Judges what Ironic has recorded, before anybody wonders why the conductor cannot connect.
    pub fn judge(&self, recorded: &str) {
        let judgement = judge(recorded, &Context::default());
        if !judgement.reasons.is_empty() {
            let words: Vec<_> = judgement.reasons.iter().map(|reason| reason.words()).collect();
            let reasons = words.join("; ");
            tracing::error!(
                url = foreign_text(recorded, None),
                reasons,
                "Ironic holds a bad callback URL of this node"
            );
            self.exchanges.bad_url(recorded, UrlSource::Ironic, UrlAction::None, &judgement.reasons);
        }
    }

    /// Ironic refuses this URL, because it holds another one.
    pub fn refused(&self, url: &str) {
        let url = foreign_text(url, None);
        self.set_stale(Some(format!("Ironic holds another callback URL and refuses {url}: {FORGET}")));
    }

    /// Whether Ironic holds a URL that is no longer this node's, and what the operator has to do; `None`: it does not.
    pub fn set_stale(&self, stale: Option<String>) {
        self.metrics.show_stale(stale.is_some());
        let before = self.held();
        if let (None, Some(words)) = (&before.stale, &stale) {
            tracing::error!("{words}");
            let url = before.url.as_deref().unwrap_or_default();
            self.exchanges.bad_url(url, UrlSource::Ironic, UrlAction::None, &[Reason::PinnedStale]);
        }
        if before.stale != stale {
            self.held.send_modify(|held| held.stale = stale);
        }
    }

    fn log_unrecorded(&self, accepted: &str) {
        let is_new = self.held.send_if_modified(|held| !std::mem::replace(&mut held.unrecorded, true));
        if is_new {
            let url = foreign_text(accepted, None);
            tracing::error!(
                url,
                "Ironic accepted the heartbeat and recorded nothing: is the node in a state that awaits its ramdisk?"
            );
        }
    }

    fn log_another(&self, recorded: &str, accepted: &str) {
        let (shown, accepted) = (foreign_text(recorded, None), foreign_text(accepted, None));
        tracing::error!(
            recorded = shown,
            accepted,
            "Ironic has recorded another callback URL than it accepted"
        );
        let mut reasons = judge(recorded, &Context::default()).reasons;
        if reasons.is_empty() {
            reasons.push(Reason::PinnedStale);
        }
        self.exchanges.bad_url(recorded, UrlSource::Ironic, UrlAction::None, &reasons);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://192.0.2.1:9999";
    const OTHER: &str = "http://192.0.2.2:9999";

    fn pin() -> Pin {
        let metrics = Metrics::new().unwrap();
        Pin::new(Exchanges::new(metrics.clone()), metrics)
    }

    #[test]
    fn a_long_url_is_shown_in_part() {
        let url = format!("http://192.0.2.1:9999/{}", "x".repeat(900_000));
        let held = Held { url: Some(url.clone()), ..Held::default() };
        assert!(held.is(&url));
        assert!(held.shown().unwrap().len() < 400);
    }

    #[test]
    fn what_ironic_has_recorded_counts() {
        let pin = pin();
        assert_eq!(pin.compare(None), ReadBack::Nothing);
        assert_eq!(pin.compare(Some(URL)), ReadBack::News);
        assert_eq!(pin.compare(Some("HTTP://192.0.2.1:9999")), ReadBack::Confirmed);
        assert!(pin.held().known && pin.held().confirmed && pin.held().is(URL));
        assert_eq!(pin.compare(Some(OTHER)), ReadBack::Another);
        assert!(pin.held().is(OTHER));
        assert_eq!(pin.compare(None), ReadBack::Unrecorded);
        assert!(pin.held().is(OTHER), "what Ironic accepted still counts");
        pin.take(None);
        assert_eq!(pin.held().url, None);
    }

    #[test]
    fn a_commitment_is_published_once() {
        let pin = pin();
        let mut held = pin.subscribe();
        let address = Some("192.0.2.1".parse().unwrap());
        pin.commit(address);
        assert!(held.has_changed().unwrap());
        assert_eq!(held.borrow_and_update().committed, address);
        pin.commit(address);
        assert!(!held.has_changed().unwrap());
        pin.take(Some(URL));
        assert_eq!(pin.held().committed, address, "what Ironic holds is another matter");
        pin.commit(None);
        assert_eq!(pin.held().committed, None);
    }

    #[test]
    fn another_accepted_url_has_to_be_confirmed_again() {
        let pin = pin();
        assert!(pin.accepted(URL));
        assert_eq!(pin.compare(Some(URL)), ReadBack::Confirmed);
        assert!(!pin.accepted(URL) && pin.held().confirmed);
        assert!(pin.accepted(OTHER) && !pin.held().confirmed);
    }

    #[test]
    fn a_stale_url_counts_once_until_it_is_right_again() {
        let pin = pin();
        let seen = pin.exchanges.subscribe();
        for _ in 0..3 {
            pin.refused(URL);
        }
        assert_eq!(seen.borrow().bad_urls.iter().count(), 1);
        pin.set_stale(None);
        pin.refused(URL);
        assert_eq!(seen.borrow().bad_urls.iter().count(), 2);
    }
}
