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
    /// The class that colours it: `good`, `wait` or `bad`.
    pub class: &'static str,
    /// The rest.
    pub sentence: String,
}

impl Headline {
    fn good(word: &'static str, sentence: impl Into<String>) -> Self {
        Self { word, class: "good", sentence: sentence.into() }
    }

    fn bad(word: &'static str, sentence: impl Into<String>) -> Self {
        Self { word, class: "bad", sentence: sentence.into() }
    }

    /// Of one moment.
    pub fn of(view: &View) -> Self {
        let (decision, snapshot) = (&view.published.decision, &view.snapshot);
        let words = match &view.ready {
            Err(why) if is_starting(view) => {
                return Self { word: "Starting", class: "wait", sentence: why.clone() };
            }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;
    use crate::advertise::{Decision, Refusal};
    use crate::api_url::Host;
    use crate::status::{AgentPhase, Snapshot, Status};
    use crate::watch::Published;
    use crate::web::readiness;

    const URL: &str = "http://192.0.2.5:9999";

    fn there() -> Decision {
        Decision {
            address: Some(Host::Ip([192, 0, 2, 5].into())),
            callback_url: Some(URL.to_owned()),
            valid: true,
            refusal: None,
            ..Decision::none(Refusal::NoRoute)
        }
    }

    fn nowhere() -> Decision {
        Decision { detail: Some("eth0 has no carrier".to_owned()), ..Decision::none(Refusal::NoCarrier) }
    }

    fn lost() -> Decision {
        Decision { valid: false, detail: Some("eth0 has no carrier".to_owned()), ..there() }
    }

    /// Word, class and sentence in a mode, with this decision, after this change of the state.
    fn told(mode: Mode, decision: Decision, change: impl FnOnce(&mut Snapshot)) -> String {
        let generation = u64::from(decision != Decision::not_asked());
        let mut snapshot = Status::new(mode, mode, None, Vec::new()).snapshot();
        change(&mut snapshot);
        let published = Arc::new(Published { decision, generation });
        let ready = readiness(&published, &snapshot);
        let Headline { word, class, sentence } =
            Headline::of(&View { published, snapshot, ready, lookups: Vec::new() });
        format!("{class}: {word}: {sentence}")
    }

    fn written(snapshot: &mut Snapshot) {
        snapshot.dropin = DropinStatus::Written("192.0.2.5".to_owned());
        snapshot.guard.listening = Some(([127, 0, 0, 1], 6385).into());
    }

    fn heartbeating(snapshot: &mut Snapshot) {
        snapshot.agent.phase = AgentPhase::Heartbeating;
        snapshot.agent.last_accepted = Some(Instant::now());
        snapshot.pinned = Some(URL.to_owned());
    }

    #[test]
    fn each_state_has_its_sentence() {
        use Mode::{Agent, Configure, Guard, Observe};
        let peer = ([192, 0, 2, 1], 4000).into();
        let cases: [(String, &str); 14] = [
            (
                told(Observe, Decision::not_asked(), |_| {}),
                "wait: Starting: the kernel has not been asked yet",
            ),
            (
                told(Observe, there(), |_| {}),
                "good: Watching: this node would be called back at http://192.0.2.5:9999",
            ),
            (told(Observe, nowhere(), |_| {}), "bad: No address: eth0 has no carrier"),
            (told(Configure, there(), |_| {}), "wait: Starting: no drop-in: not written yet"),
            (
                told(Configure, nowhere(), |_| {}),
                "bad: Not ready: no drop-in: no advertise address (no_carrier)",
            ),
            (told(Configure, there(), written), "good: Ready: the drop-in says 192.0.2.5"),
            (
                told(Guard, there(), written),
                "good: Ready: the guard listens on 127.0.0.1:6385; the drop-in says",
            ),
            (told(Guard, lost(), written), "bad: Address not usable now: eth0 has no carrier"),
            (
                told(Guard, there(), |snapshot| {
                    written(snapshot);
                    snapshot.stale = Some("power the node off".to_owned());
                    snapshot.dropin = DropinStatus::Absent;
                }),
                "bad: Not ready: no drop-in",
            ),
            (told(Agent, there(), |_| {}), "wait: Starting: the lookup has not begun yet"),
            (
                told(Agent, there(), |snapshot| {
                    snapshot.agent.phase = AgentPhase::LookingUp;
                    snapshot.agent.last_failure = Some("lookup: no route".to_owned());
                }),
                "bad: Not ready: lookup: no route",
            ),
            (
                told(Agent, there(), heartbeating),
                "good: Healthy: Ironic calls this node back at http://192.0.2.5:9999; it has not called yet",
            ),
            (
                told(Agent, there(), |snapshot| {
                    heartbeating(snapshot);
                    snapshot.probes.callback.last = Some((Instant::now(), peer));
                }),
                "good: Healthy: Ironic calls this node back at http://192.0.2.5:9999, and did so 0 s ago",
            ),
            (
                told(Guard, there(), |snapshot| {
                    snapshot.held_back = Some("no API URL was given".to_owned());
                }),
                "bad: Not ready: mode guard acts as guard: no API URL was given",
            ),
        ];
        for (told, wanted) in cases {
            assert!(told.starts_with(wanted), "{told:?}; wanted {wanted:?}");
        }
    }
}
