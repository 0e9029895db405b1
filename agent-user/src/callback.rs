//! The callback URL that Ironic holds for this node, as far as we know: told to the decision, the metrics and the
//! pages. Agent mode and guard both write it.

use tokio::sync::watch;

use crate::agent_url::{self, Context, Reason};
use crate::ironic::foreign_text;
use crate::metrics::{Metrics, UrlAction, UrlSource};
use crate::status::Status;

/// What is known of it.
#[derive(Debug, Clone)]
pub struct Callback {
    pinned: watch::Sender<Option<String>>,
    status: Status,
    metrics: Metrics,
}

impl Callback {
    /// Nothing is known yet. The receiver is for the decision, which depends on it.
    pub fn new(status: Status, metrics: Metrics) -> (Self, watch::Receiver<Option<String>>) {
        let (pinned, receiver) = watch::channel(None);
        (Self { pinned, status, metrics }, receiver)
    }

    /// What Ironic holds.
    pub fn pinned(&self) -> Option<String> {
        self.pinned.borrow().clone()
    }

    /// Remembers what Ironic holds.
    pub fn pin(&self, url: Option<&str>) {
        let url = url.map(str::to_owned);
        self.metrics.agent_url_pinned.set(url.is_some().into());
        self.status.update(|status| status.pinned.clone_from(&url));
        self.pinned.send_if_modified(|known| {
            let changed = *known != url;
            *known = url;
            changed
        });
    }

    /// Says that Ironic holds a URL that is no longer ours, and what the operator has to do; `None`: not so.
    pub fn set_stale(&self, stale: Option<String>) {
        let is_new = stale.is_some() && self.metrics.agent_url_stale.get() == 0;
        self.metrics.agent_url_stale.set(stale.is_some().into());
        if let (true, Some(words)) = (is_new, &stale) {
            tracing::error!("{words}");
            let pinned = self.pinned().unwrap_or_default();
            self.bad(&pinned, UrlSource::Ironic, UrlAction::None, &[Reason::PinnedStale]);
        }
        self.status.update(|status| status.stale = stale);
    }

    /// Judges what Ironic has recorded, before anybody wonders why the conductor cannot connect.
    pub fn judge_recorded(&self, url: &str) {
        let judgement = agent_url::judge(url, &Context::default());
        if !judgement.reasons.is_empty() {
            let words: Vec<_> = judgement.reasons.iter().map(|reason| reason.words()).collect();
            tracing::error!(?url, reasons = words.join("; "), "Ironic holds a bad callback URL of this node");
            self.bad(url, UrlSource::Ironic, UrlAction::None, &judgement.reasons);
        }
    }

    /// Ironic has recorded another URL than it accepted: that one counts from now on.
    pub fn recorded_another(&self, recorded: &str, accepted: &str) {
        tracing::error!(?recorded, accepted, "Ironic has recorded another callback URL than it accepted");
        let judgement = agent_url::judge(recorded, &Context::default());
        let reasons =
            if judgement.reasons.is_empty() { vec![Reason::RouteMismatch] } else { judgement.reasons };
        self.bad(recorded, UrlSource::Ironic, UrlAction::None, &reasons);
        self.pin(Some(recorded));
    }

    /// Counts and keeps a bad callback URL.
    pub fn bad(&self, url: &str, source: UrlSource, action: UrlAction, reasons: &[Reason]) {
        self.metrics.bad_agent_url(source, action, reasons);
        let labels = reasons.iter().map(|reason| reason.as_str()).collect();
        let shown = foreign_text(url, None);
        self.status.update(|status| status.push_bad_url(&shown, labels));
    }
}
