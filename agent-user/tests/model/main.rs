//! Never worse: two copies of a node under the same environment and the same lots, one bare, one with us. Every order
//! of events up to a bound is tried; the sidecar's part is played by the product's own functions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, missing_docs)]

mod environment;
mod ipa;
mod ironic;
mod lots;
mod node;
mod properties;
mod runs;
mod sidecar;

use std::sync::atomic::AtomicBool;

use stateright::{Model, Property};

use environment::{Environment, Event, Lots};
use ipa::{Ipa, Name, Phase, Way};
use node::Node;
use sidecar::{Process, Sidecar};

/// The two copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    pub environment: Environment,
    pub bare: Node,
    pub us: Node,
    /// Everything has healed and IPA has had time.
    pub at_rest: bool,
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Both IPAs take their next step.
    Step,
    /// Something happens to both.
    Happen(Event),
    /// Everything heals, the daemon runs, both IPAs go on until nothing changes.
    Rest,
    /// The same, and the daemon stays as it is: stopped or dead.
    RestWithoutUs,
}

/// The model, for one draw of lots.
pub struct Pair {
    pub lots: Lots,
    /// Which promises were seen broken: the first trace is the shortest.
    broken: [AtomicBool; properties::COUNT],
}

/// So many steps bring any IPA to its end.
const STEPS_AT_REST: usize = 12;

impl Model for Pair {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let environment = Environment::begin(&self.lots);
        let mut sidecar = Sidecar::begin();
        sidecar.react(&Ipa::off(), &environment, &self.lots);
        vec![State {
            bare: Node::begin(None, &self.lots),
            us: Node::begin(Some(sidecar), &self.lots),
            environment,
            at_rest: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.at_rest {
            return;
        }
        let may_start = self.lots.blind_start || !self.would_start_blind(state);
        if may_start {
            actions.push(Action::Step);
        }
        let mut events = Vec::new();
        state.environment.events(&self.lots, &mut events);
        self.daemon_events(state, &mut events);
        events.retain(|event| self.may_happen(state, *event));
        actions.extend(events.into_iter().map(Action::Happen));
        actions.push(Action::Rest);
        if may_start && state.us.sidecar.is_some_and(|sidecar| !sidecar.runs()) {
            actions.push(Action::RestWithoutUs);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = *last;
        match action {
            Action::Step => self.step(&mut state),
            Action::Happen(event) => {
                state.environment.happen(event);
                state.bare.happen(event, &state.environment);
                state.us.happen(event, &state.environment);
                self.react(&mut state);
            }
            Action::Rest => {
                if let Some(sidecar) = &mut state.us.sidecar {
                    sidecar.revive();
                }
                self.rest(&mut state);
            }
            Action::RestWithoutUs => self.rest(&mut state),
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

impl Pair {
    fn new(lots: Lots) -> Self {
        Self { lots, broken: Default::default() }
    }

    fn rest(&self, state: &mut State) {
        state.environment.rest();
        self.react(state);
        for _ in 0..STEPS_AT_REST {
            let before = *state;
            self.step(state);
            if self.may_read_back(state) {
                state.us.happen(Event::ReadBack, &state.environment);
                self.react(state);
            }
            if *state == before {
                break;
            }
        }
        state.at_rest = true;
    }

    fn step(&self, state: &mut State) {
        state.bare.step(&state.environment, &self.lots);
        state.us.step(&state.environment, &self.lots);
        self.react(state);
    }

    fn react(&self, state: &mut State) {
        let ipa = state.us.ipa;
        if let Some(sidecar) = &mut state.us.sidecar {
            sidecar.react(&ipa, &state.environment, &self.lots);
        }
        state.us.restart(&state.environment, &self.lots);
    }

    /// Whether a lookup of our own is due, and would be answered.
    fn may_read_back(&self, state: &State) -> bool {
        let reached = state.environment.reaches_ironic(&self.lots);
        reached && state.us.sidecar.is_some_and(|sidecar| sidecar.is_due(&state.us.ipa))
    }

    fn daemon_events(&self, state: &State, events: &mut Vec<Event>) {
        let Some(sidecar) = &state.us.sidecar else { return };
        let may_fail = state.environment.faults_left > 0;
        match sidecar.process {
            Process::Running if may_fail => events.extend([Event::Kill, Event::Term, Event::Stop]),
            Process::Running => {}
            Process::Stopped => events.push(Event::Continue),
            Process::Dead => events.push(Event::Start),
        }
        if sidecar.is_off() {
            events.push(Event::Recover);
        }
        if self.may_read_back(state) {
            events.push(Event::ReadBack);
        }
    }

    fn may_happen(&self, state: &State, event: Event) -> bool {
        if event.is_fault() && self.lots.only.is_some_and(|only| !only.contains(&event)) {
            return false;
        }
        match event {
            Event::Kill | Event::Stop | Event::Term => {
                let in_flight = event != Event::Term && state.us.ipa.phase == Phase::InFlight(Way::Guard);
                let pending = self.awaits_restart(state);
                (self.lots.kill_in_flight || !in_flight) && (self.lots.lost_before_lookup || !pending)
            }
            Event::Lose(addr) => self.may_be_lost(&state.us, Name::Ip(addr)),
            // Delay does not count: what a bare node has behind it must not hit us alone.
            Event::RestartIpa | Event::Wipe => {
                let runs = |node: &Node| node.ipa.phase != Phase::Off;
                let even = state.bare.first.is_some() == state.us.first.is_some();
                even && (event == Event::Wipe || runs(&state.bare) || runs(&state.us))
            }
            _ => true,
        }
    }

    /// IPA waits for its restart: its address is lost, and there is no other one yet.
    fn awaits_restart(&self, state: &State) -> bool {
        let lost = |name: Name| name.addr().is_some_and(|addr| !state.environment.has(addr));
        state.us.ipa.phase == Phase::LookingUp && state.us.ipa.host.is_some_and(lost)
    }

    /// The drop-in has an address whose network leads nowhere: it was the only one, and nothing of Ironic answered yet.
    fn would_start_blind(&self, state: &State) -> bool {
        let Some(sidecar) = state.us.sidecar else { return false };
        let leads_nowhere = |addr| sidecar.dropin == Some(Name::Ip(addr));
        state.us.ipa.phase == Phase::Off && sidecar.blind && self.lots.isolated.is_some_and(leads_nowhere)
    }

    /// The switches: IPA started with this address, or will before we can write another.
    fn may_be_lost(&self, us: &Node, name: Name) -> bool {
        let waits = matches!(us.ipa.phase, Phase::LookingUp | Phase::InFlight(_));
        let stale = us.sidecar.is_some_and(|sidecar| !sidecar.runs() && sidecar.dropin == Some(name));
        let restarts = us.sidecar.is_some_and(|sidecar| sidecar.may_restart(&us.ipa));
        let before_lookup = (waits && us.ipa.host == Some(name) && !restarts) || stale;
        let before_heartbeat = us.ipa.host == Some(name) && us.first.is_none() && !waits;
        (self.lots.lost_before_lookup || !before_lookup)
            && (self.lots.lost_before_heartbeat || !before_heartbeat)
    }
}
