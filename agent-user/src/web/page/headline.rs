//! The state in one sentence.

use super::super::View;
use super::html::ago;
use crate::agent_url::same_to_ironic;
use crate::params::Mode;
use crate::status::DropinStatus;

/// What stands on top.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Headline {
    /// One or two words, which the sentence continues after a colon.
    pub word: &'static str,
    /// Whether all is well.
    pub good: bool,
    /// The rest.
    pub sentence: String,
}

impl Headline {
    fn good(word: &'static str, sentence: impl Into<String>) -> Self {
        Self { word, good: true, sentence: sentence.into() }
    }

    fn bad(word: &'static str, sentence: impl Into<String>) -> Self {
        Self { word, good: false, sentence: sentence.into() }
    }

    /// Of one moment.
    pub fn of(view: &View) -> Self {
        let (decision, snapshot) = (&view.published.decision, &view.snapshot);
        let words = match &view.ready {
            Err(why) if is_starting(view) => return Self::bad("Starting", why),
            Err(why) => return Self::bad("Not ready", why),
            Ok(words) => words,
        };
        let detail = || decision.detail.clone().unwrap_or_default();
        let Some(url) = &decision.callback_url else {
            return Self::bad("No address", detail());
        };
        if !decision.valid {
            return Self::bad("Address not usable now", detail());
        }
        let is_held = snapshot.pinned.as_ref().is_some_and(|pinned| same_to_ironic(pinned, url));
        match (snapshot.mode, snapshot.probes.callback.last) {
            (Mode::Observe, _) => Self::good("Watching", format!("this node would be called back at {url}")),
            (_, Some((at, _))) if is_held => {
                let when = ago(at);
                Self::good("Healthy", format!("Ironic calls this node back at {url}, and did so {when}"))
            }
            (_, None) if is_held => {
                Self::good("Healthy", format!("Ironic calls this node back at {url}; it has not called yet"))
            }
            (Mode::Configure, _) => Self::good("Ready", words),
            (Mode::Guard | Mode::Agent, _) => {
                Self::good("Ready", format!("{words}; Ironic has not accepted a heartbeat yet"))
            }
        }
    }
}

/// Nothing has gone wrong so far, it is only not done.
fn is_starting(view: &View) -> bool {
    let (published, snapshot) = (&view.published, &view.snapshot);
    if snapshot.held_back.is_some() || snapshot.stale.is_some() {
        return false;
    }
    if published.generation == 0 {
        return true;
    }
    let has_address = published.decision.address.is_some();
    let agent = &snapshot.agent;
    match snapshot.mode {
        Mode::Observe => false,
        Mode::Configure | Mode::Guard => has_address && snapshot.dropin == DropinStatus::Absent,
        Mode::Agent => has_address && agent.last_failure.is_none() && agent.last_accepted.is_none(),
    }
}
