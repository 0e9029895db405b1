//! What must hold in every state.

use std::sync::atomic::Ordering;

use stateright::Property;

use super::ipa::Phase;
use super::node::{Node, Outcome};
use super::{Pair, State};

/// How many.
pub const COUNT: usize = 7;

/// The promises, each with the name that docs/promises.md gives it.
pub fn all() -> Vec<Property<Pair>> {
    vec![
        Property::always("never worse", |pair: &Pair, state: &State| holds(pair, 0, never_worse(state))),
        Property::always("no foreign address leaves", |pair: &Pair, state: &State| {
            holds(pair, 1, sidecar(&state.us, |one| !one.foreign))
        }),
        Property::always("the token is not lost by us", |pair: &Pair, state: &State| {
            holds(pair, 2, token(state))
        }),
        Property::always("nothing changes after a 202", |pair: &Pair, state: &State| {
            holds(pair, 3, sidecar(&state.us, |one| !one.changed))
        }),
        Property::always("a sound URL is not changed", |pair: &Pair, state: &State| {
            holds(pair, 5, sidecar(&state.us, |one| !one.meddled))
        }),
        Property::always("no move without loss", |pair: &Pair, state: &State| {
            holds(pair, 6, sidecar(&state.us, |one| one.stays(&state.environment)))
        }),
        Property::always("accepted at rest", |pair: &Pair, state: &State| holds(pair, 4, accepted(state))),
    ]
}

/// The checker reports the last trace that breaks a promise; the first one is the shortest.
fn holds(pair: &Pair, promise: usize, holds: bool) -> bool {
    holds || pair.broken[promise].swap(true, Ordering::Relaxed)
}

fn sidecar(node: &Node, holds: impl Fn(&super::sidecar::Sidecar) -> bool) -> bool {
    node.sidecar.as_ref().is_none_or(holds)
}

/// At the first accepted heartbeat; delay does not count, except never.
fn never_worse(state: &State) -> bool {
    let worse = match state.us.first {
        Some(Outcome::Good) => false,
        Some(Outcome::Wrong) => true,
        None => state.at_rest,
    };
    !(worse && state.bare.first == Some(Outcome::Good))
}

fn token(state: &State) -> bool {
    let bare_has_it = matches!(state.bare.ipa.phase, Phase::HasToken | Phase::Beating(_));
    !(state.us.ipa.phase == Phase::Dead && bare_has_it)
}

/// Where everything has healed, heartbeats are accepted wherever those of a bare node that is well are. A repaired node depends on
/// the guard.
fn accepted(state: &State) -> bool {
    let accepts = |node: &Node| node.ipa.last == Some(true);
    let repaired = match (state.us.ipa.phase, state.us.ironic.url) {
        (Phase::Beating(own), Some(url)) => own != url && state.us.ironic.accepted,
        _ => false,
    };
    let depends = repaired && !sidecar(&state.us, super::sidecar::Sidecar::runs);
    let bare_is_well = state.bare.first == Some(Outcome::Good) && accepts(&state.bare);
    !state.at_rest || depends || !bare_is_well || accepts(&state.us)
}
