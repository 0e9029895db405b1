//! The state in one sentence.

use exporter::ago;

use crate::ipa::keeper::DropinPhase;
use crate::params::Mode;
use crate::readiness::Readiness;
use crate::view::View;

/// What stands on top.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Headline {
    /// One or two words, which the sentence continues after a colon.
    pub word: &'static str,
    /// The class that colours it: `good`, `wait` or `bad`.
    pub class: &'static str,
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
    pub fn of(view: &View, ready: &Readiness) -> Self {
        let decision = &view.published.decision;
        let words = match ready {
            Err(why) if is_starting(view) => {
                return Self { word: "Starting", class: "wait", sentence: why.clone() };
            }
            Err(why) if view.passed_by.as_ref().is_some_and(|passed_by| passed_by.sentence == *why) => {
                return Self::bad("Bypassed", why);
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
        let is_held = view.held.is(url);
        match (view.acting(), view.probes.callback.last_connection) {
            (Mode::Observe, _) => Self::good("Watching", format!("this node would be called back at {url}")),
            (_, Some(at)) if is_held => {
                let when = ago(at.elapsed());
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
    let published = &view.published;
    if view.duty.held_back.is_some() || view.held.stale.is_some() {
        return false;
    }
    if published.generation == 0 {
        return true;
    }
    let has_address = published.decision.address.is_some();
    let agent = &view.agent;
    match view.acting() {
        Mode::Observe => false,
        Mode::Configure | Mode::Guard => {
            let undecided = published.decision.is_undecided() && !published.awaits_reach;
            has_address && view.dropin.state == DropinPhase::Absent && !undecided
        }
        Mode::Agent => has_address && agent.last_failure.is_none() && agent.last_accepted.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::advertise::{Decision, Refusal};
    use crate::agent::{AgentPhase, AgentState};
    use crate::exchange::Seen;
    use crate::guard::GuardState;
    use crate::ipa::keeper::DropinState;
    use crate::ipa::status::IpaState;
    use crate::passed_by::{PassedBy, Why};
    use crate::pin::Held;
    use crate::probes::ProbesState;
    use crate::readiness::readiness;
    use crate::recent::Moment;
    use crate::sight::SightState;
    use crate::view::Duty;
    use crate::watch::Published;
    use callback_url::Host;

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
    fn shown(mode: Mode, decision: Decision, change: impl FnOnce(&mut View)) -> String {
        let generation = u64::from(decision != Decision::not_asked());
        let mut view = View {
            duty: Arc::new(Duty { wanted: mode, mode, held_back: None, problems: Vec::new() }),
            published: Arc::new(Published::new(decision, generation)),
            held: Held::default(),
            exchanges: Seen::default(),
            place: crate::image::Image::default().place(None),
            dropin: DropinState::of(None),
            ipa: IpaState::default(),
            guard: GuardState::default(),
            sight: SightState::default(),
            agent: AgentState::default(),
            probes: ProbesState::default(),
            passed_by: None,
            read_back: crate::read_back::ReadBackState::default(),
            report: crate::report::ReportState::default(),
            web: None,
        };
        change(&mut view);
        let Headline { word, class, sentence } = Headline::of(&view, &readiness(&view));
        format!("{class}: {word}: {sentence}")
    }

    fn written(view: &mut View) {
        view.dropin = DropinState::of(Host::parse("192.0.2.5"));
        view.guard.listening = Some(([127, 0, 0, 1], 6385).into());
    }

    fn passed_by() -> Option<PassedBy> {
        Some(PassedBy { why: Why::NothingSeen, sentence: "IPA bypasses ipa-sidecar".to_owned() })
    }

    fn heartbeating(view: &mut View) {
        view.agent.phase = AgentPhase::Heartbeating;
        view.agent.last_accepted = Some(Moment::now());
        view.held.url = Some(URL.to_owned());
    }

    #[test]
    fn each_state_has_its_sentence() {
        use Mode::{Agent, Configure, Guard, Observe};
        let cases: [(String, &str); 18] = [
            (
                shown(Observe, Decision::not_asked(), |_| {}),
                "wait: Starting: the kernel has not been asked yet",
            ),
            (
                shown(Observe, there(), |_| {}),
                "good: Watching: this node would be called back at http://192.0.2.5:9999",
            ),
            (shown(Observe, nowhere(), |_| {}), "bad: No address: eth0 has no carrier"),
            (shown(Configure, there(), |_| {}), "wait: Starting: no drop-in: not written yet"),
            (
                shown(Configure, nowhere(), |_| {}),
                "bad: Not ready: no drop-in: no advertise address (no_carrier)",
            ),
            (shown(Configure, there(), written), "good: Ready: the drop-in says 192.0.2.5"),
            (
                shown(Guard, there(), written),
                "good: Ready: the guard listens on 127.0.0.1:6385; the drop-in says",
            ),
            (
                shown(Guard, there(), |view| {
                    written(view);
                    view.passed_by = passed_by();
                }),
                "bad: Bypassed: IPA bypasses ipa-sidecar",
            ),
            (
                shown(Configure, there(), |view| {
                    written(view);
                    view.held.url = Some(URL.to_owned());
                    view.passed_by = passed_by();
                }),
                "bad: Bypassed: IPA bypasses ipa-sidecar",
            ),
            (
                shown(Configure, nowhere(), |view| view.passed_by = passed_by()),
                "bad: Not ready: no drop-in: no advertise address (no_carrier)",
            ),
            (
                shown(Observe, there(), |view| view.passed_by = passed_by()),
                "bad: Bypassed: IPA bypasses ipa-sidecar",
            ),
            (shown(Guard, lost(), written), "bad: Address not usable now: eth0 has no carrier"),
            (
                shown(Guard, there(), |view| {
                    written(view);
                    view.held.stale = Some("power the node off".to_owned());
                    view.dropin = DropinState::of(None);
                }),
                "bad: Not ready: no drop-in",
            ),
            (shown(Agent, there(), |_| {}), "wait: Starting: the lookup has not begun yet"),
            (
                shown(Agent, there(), |view| {
                    view.agent.phase = AgentPhase::LookingUp;
                    view.agent.last_failure = Some("lookup: no route".to_owned());
                }),
                "bad: Not ready: lookup: no route",
            ),
            (
                shown(Agent, there(), heartbeating),
                "good: Healthy: Ironic calls this node back at http://192.0.2.5:9999; it has not called yet",
            ),
            (
                shown(Agent, there(), |view| {
                    heartbeating(view);
                    view.probes.callback.last_connection = Some(Moment::now());
                }),
                "good: Healthy: Ironic calls this node back at http://192.0.2.5:9999, and did so 0 s ago",
            ),
            (
                shown(Guard, there(), |view| {
                    Arc::make_mut(&mut view.duty).held_back = Some("no API URL was given".to_owned());
                }),
                "bad: Not ready: mode guard acts as guard: no API URL was given",
            ),
        ];
        for (shown, wanted) in cases {
            assert!(shown.starts_with(wanted), "{shown:?}; wanted {wanted:?}");
        }
    }
}
