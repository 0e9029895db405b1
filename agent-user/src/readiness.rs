//! Whether the duty of the wanted mode can be done, or why not.

use crate::agent::AgentPhase;
use crate::ipa::keeper::DropinPhase;
use crate::params::Mode;
use crate::view::View;

/// A sentence for people: `Ok` where the daemon is ready.
pub type Readiness = Result<String, String>;

/// Where Ironic answers from none of several sources.
const UNDECIDED: &str = "no drop-in: the routes to Ironic have different sources, and Ironic answers from none of them; an IPA \
                         that starts now takes its address itself";

/// Whether the duty can be done at this moment, and reaches ironic-python-agent.
pub fn readiness(view: &View) -> Readiness {
    let duty = &view.duty;
    if let Some(why) = &duty.held_back {
        let (wanted, acting) = (duty.wanted.as_str(), duty.mode.as_str());
        let words = format!("mode {wanted} acts as {acting}: {why}");
        return match duty.mode {
            // The guard is one duty of two, and nobody is worse off without it.
            Mode::Configure if view.published.generation > 0 => {
                configure(view).map(|ready| format!("{ready}; {words}"))
            }
            _ => Err(words),
        };
    }
    match duty.mode {
        _ if view.published.generation == 0 => Err("the kernel has not been asked yet".to_owned()),
        Mode::Observe => {
            let watching = "watching".to_owned();
            let problem = duty.problems.iter().chain(&view.probes.problems).next();
            reaches(view, problem.map_or(watching, |problem| format!("watching; {problem}")))
        }
        Mode::Configure => configure(view),
        Mode::Guard => guard(view),
        Mode::Agent => agent(view),
    }
}

/// Ready where IPA does not bypass the daemon. That goes before what comes of it: what Ironic holds then, or refuses.
fn reaches(view: &View, ready: String) -> Readiness {
    match &view.passed_by {
        Some(passed_by) => Err(passed_by.sentence.clone()),
        None => Ok(ready),
    }
}

/// Why there is no address; `otherwise` where there is one.
fn no_address(view: &View, otherwise: &str) -> String {
    let decision = &view.published.decision;
    if decision.address.is_none() { decision.to_string() } else { otherwise.to_owned() }
}

fn dropin(view: &View) -> Readiness {
    let dropin = &view.dropin;
    match (dropin.state, &dropin.address) {
        (DropinPhase::Written, Some(address)) => Ok(format!("the drop-in says {}", address.bare())),
        (DropinPhase::Failed, _) => Err(dropin.error.clone().unwrap_or_default()),
        _ if view.published.decision.is_undecided() => Err(UNDECIDED.to_owned()),
        _ => Err(format!("no drop-in: {}", no_address(view, "not written yet"))),
    }
}

fn configure(view: &View) -> Readiness {
    let dropin = reaches(view, dropin(view)?)?;
    without([&view.held.stale, &view.sight.refused], dropin)
}

/// Ready where there is none of these troubles.
fn without<const N: usize>(troubles: [&Option<String>; N], ready: String) -> Readiness {
    match troubles.into_iter().flatten().next() {
        Some(trouble) => Err(trouble.clone()),
        None => Ok(ready),
    }
}

fn guard(view: &View) -> Readiness {
    let guard = &view.guard;
    let dropin = reaches(view, dropin(view)?)?;
    let troubles = [&view.held.stale, &guard.refused, &view.sight.refused, &guard.paused];
    let dropin = without(troubles, dropin)?;
    let Some(address) = guard.listening else {
        return Err("the guard does not listen yet".to_owned());
    };
    let ready = format!("the guard listens on {address}; {dropin}");
    Ok(match &guard.depends {
        Some(depends) => format!("{ready}; {depends}"),
        None => ready,
    })
}

fn agent(view: &View) -> Readiness {
    let agent = &view.agent;
    if let Some(why) = &agent.beside {
        return Err(format!("mode agent acts as observe: {why}"));
    }
    if let Some(stale) = &view.held.stale {
        return Err(stale.clone());
    }
    // What is waited for now goes before what failed earlier.
    match (agent.phase, &agent.last_failure) {
        (AgentPhase::Off | AgentPhase::BesideIpa | AgentPhase::AwaitingAddress, _) => {
            Err(no_address(view, "the lookup has not begun yet"))
        }
        (AgentPhase::AwaitingListener, _) => Err("nothing listens on the advertised port".to_owned()),
        (_, Some(failure)) => Err(failure.clone()),
        (AgentPhase::LookingUp, None) => Err("the node is not looked up yet".to_owned()),
        (AgentPhase::WithoutToken, None) => Err("the agent token went to another sender".to_owned()),
        (AgentPhase::Heartbeating, None) => match agent.last_accepted {
            Some(at) => Ok(format!("last heartbeat accepted {:.1} s ago", at.elapsed().as_secs_f64())),
            None => Err("no heartbeat sent yet".to_owned()),
        },
    }
}
