//! The runs: the large ones, which must find nothing, and those with a switch on, which must find what it names.

use std::time::Instant;

use stateright::{Checker, Model};

use super::environment::{Addr, Api, Dns, Event, Lots, Mode};
use super::lots::{BOTH, PLAIN, TWO, draws, words};
use super::node::Outcome;
use super::{Action, Pair, properties};

/// One broken promise.
struct Broken {
    promise: &'static str,
    trace: Vec<Action>,
    words: String,
}

/// Tries every order of events for each draw; says how much that was.
fn check(name: &str, draws: &[Lots]) -> Vec<Broken> {
    let started = Instant::now();
    let (mut states, mut unique, mut depth) = (0, 0, 0);
    let mut broken = Vec::new();
    for lots in draws {
        let checker = Pair::new(*lots).checker().spawn_bfs().join();
        states += checker.state_count();
        unique += checker.unique_state_count();
        depth = depth.max(checker.max_depth());
        for (promise, path) in checker.discoveries() {
            let last = *path.last_state();
            let trace = path.into_actions();
            let words = format!(
                "{promise}: {}\n    {trace:?}\n    bare {:?} {:?}\n    with us {:?} {:?} {:?}",
                words(lots),
                last.bare.ipa.phase,
                last.bare.first,
                last.us.ipa.phase,
                last.us.first,
                last.us.sidecar,
            );
            broken.push(Broken { promise, trace, words });
        }
    }
    let faults = draws.iter().map(|lots| lots.faults).max().unwrap_or_default();
    println!(
        "{name}: {} draws of lots, {faults} faults in a trace at most, {} promises, {states} states ({unique} \
         different), depth {depth}, {:.1?}",
        draws.len(),
        properties::COUNT,
        started.elapsed()
    );
    broken.sort_by_key(|one| (one.promise, one.trace.len()));
    broken
}

/// Fails with every shortest trace.
fn must_hold(name: &str, draws: &[Lots]) {
    let broken = check(name, draws);
    let words: Vec<_> = broken.iter().map(|one| one.words.as_str()).collect();
    assert!(broken.is_empty(), "{} broken promises\n{}", broken.len(), words.join("\n"));
}

/// The switch is on: the model must find what it lets in.
fn must_break(name: &str, lots: Lots, promise: &str) {
    let broken = check(name, &[lots]);
    for one in &broken {
        println!("  {}", one.words);
    }
    assert!(broken.iter().any(|one| one.promise == promise), "{name}: {promise} was not broken");
}

#[test]
fn never_worse_in_configure() {
    must_hold("configure", &draws(Mode::Configure, 2));
}

#[test]
fn never_worse_in_guard() {
    must_hold("guard", &draws(Mode::Guard, 2));
}

/// What the others find nothing against is worth something: a bare node can end well and badly, and we can help.
#[test]
fn without_a_fault_both_end_well_and_the_guard_saves_a_seed_era_ipa() {
    let outcomes = |lots: Lots| {
        let pair = Pair::new(lots);
        let first = pair.init_states()[0];
        let rest = pair.next_state(&first, Action::Rest).unwrap();
        (rest.bare.first, rest.us.first)
    };
    let (good, wrong) = (Some(Outcome::Good), Some(Outcome::Wrong));
    let guard = Lots { mode: Mode::Guard, ..PLAIN };
    for lots in [PLAIN, guard] {
        assert_eq!(outcomes(lots), (good, good));
        assert_eq!(outcomes(Lots { tls: true, require_tls: true, ..lots }), (good, good));
        assert_eq!(outcomes(Lots { require_tls: true, ..lots }), (None, None));
        assert_eq!(outcomes(Lots { placeholder: true, ..lots }), (wrong, good));
    }
    assert_eq!(outcomes(Lots { seed: true, ..PLAIN }), (wrong, wrong));
    assert_eq!(outcomes(Lots { seed: true, ..guard }), (wrong, good));
}

/// The larger run: `cargo test -p ipa-sidecar --test model larger -- --ignored --nocapture`.
#[test]
#[ignore = "takes long: run by name"]
fn larger() {
    must_hold("configure", &draws(Mode::Configure, 3));
    must_hold("guard", &draws(Mode::Guard, 3));
}

#[test]
fn an_address_that_is_lost_before_the_lookup_is_found() {
    let only = Some([Event::Lose(Addr::A4)].as_slice());
    let lots = Lots { first: TWO, lost_before_lookup: true, only, ..PLAIN };
    must_break("lost before the lookup", lots, "never worse");
}

/// IPA starts with an address, Ironic is away, the address is lost, another one is there.
const LOST_WHILE_AWAY: &[Event] = &[Event::Away, Event::Lose(Addr::A4)];

#[test]
fn an_ipa_whose_address_is_lost_before_the_lookup_starts_again() {
    let only = Some(LOST_WHILE_AWAY);
    for mode in [Mode::Configure, Mode::Guard] {
        let lots = Lots { mode, first: TWO, sight: true, only, ..PLAIN };
        must_hold("lost before the lookup, with sight", &[lots]);
    }
}

#[test]
fn without_the_restart_an_address_that_is_lost_before_the_lookup_is_found() {
    let only = Some(LOST_WHILE_AWAY);
    let lots = Lots { first: TWO, sight: true, restart: false, only, ..PLAIN };
    must_break("lost before the lookup, without the restart", lots, "never worse");
}

#[test]
fn an_address_that_is_lost_before_the_first_heartbeat_is_found() {
    let only = Some([Event::Prefer, Event::Lose(Addr::A4)].as_slice());
    let lots = Lots { first: TWO, lost_before_heartbeat: true, only, ..PLAIN };
    must_break("lost before the first heartbeat", lots, "never worse");
}

/// Over http the guard repairs it, as long as it redirects.
#[test]
fn the_guard_repairs_what_is_lost_before_the_first_heartbeat() {
    let only = Some([Event::Prefer, Event::Lose(Addr::A4), Event::Lock, Event::Slow(26)].as_slice());
    let lots = Lots { mode: Mode::Guard, first: TWO, lost_before_heartbeat: true, only, faults: 3, ..PLAIN };
    must_hold("lost before the first heartbeat, with the guard", &[lots]);
}

/// The guard did not see the first accepted heartbeat: it was restarted, or passed by.
#[test]
fn a_repair_that_ironic_refuses_is_not_tried_again() {
    let only = Some([Event::Kill, Event::Lose(Addr::A4)].as_slice());
    let restarted = Lots { mode: Mode::Guard, first: TWO, only, ..PLAIN };
    let passed_by = Lots { before: Some(Event::Away), ..restarted };
    must_hold("a repair that Ironic refuses", &[restarted, passed_by]);
}

#[test]
fn before_ironic_has_ever_answered_ipa_starts_as_without_us() {
    let only = Some([].as_slice());
    let (before, isolated) = (Some(Event::Away), Some(Addr::A4));
    let lots = Lots { api: Api::List, first: TWO, before, isolated, only, ..PLAIN };
    must_hold("started before Ironic answered", &[lots]);
}

#[test]
fn a_start_with_the_only_address_that_is_known_is_found() {
    let only = Some([Event::Lose(Addr::A4), Event::Gain(Addr::A4)].as_slice());
    let (before, isolated) = (Some(Event::DnsFails(Dns::NoAaaa)), Some(Addr::A6));
    let lots = Lots { api: Api::Dual, first: BOTH, before, isolated, blind_start: true, only, ..PLAIN };
    must_break("started with the only address that is known", lots, "never worse");
}

#[test]
fn a_guard_that_is_killed_inside_a_lookup_is_found() {
    let only = Some([Event::Slow(10), Event::Kill].as_slice());
    let lots = Lots { mode: Mode::Guard, kill_in_flight: true, only, ..PLAIN };
    must_break("killed inside a lookup", lots, "the token is not lost by us");
}
