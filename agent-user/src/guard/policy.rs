//! What to do with a lookup or a heartbeat. Pure: what is known in, the action out.
//!
//! Ironic pins the first URL that it accepts, hands the token out once, and pins the certificate with the URL. So a
//! lookup waits until IPA is known to have started with the right address, and a heartbeat with a bad URL is repaired
//! or held before the first acceptance, never changed after it.

use std::time::Duration;

use callback_url::{Context, Host, Judgement, Local, Reason, Scheme, Verdict, judge};
use text::foreign_text;

use super::certificate;

/// What is known when a lookup arrives.
#[derive(Debug, Clone)]
pub struct LookupFacts<'a> {
    /// The advertise address that was decided on.
    pub decided: Option<&'a Host>,
    /// The address in the drop-in that the sender started with; `None` where it did not come by our drop-in's URL.
    pub started_with: Option<&'a Host>,
    /// A lookup was let through before: the token may be spent.
    pub forwarded_before: bool,
    /// How long since the first lookup was held.
    pub held_for: Option<Duration>,
    /// The longest time that lookups are held.
    pub wait: Duration,
    /// IPA can be restarted by us.
    pub can_restart: bool,
    /// IPA is being restarted right now.
    pub is_restarting: bool,
    /// IPA was restarted for this address.
    pub restarted_with: Option<&'a Host>,
    /// The drop-in on disk has this address.
    pub on_disk: Option<&'a Host>,
}

/// What to do with a lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookupAction {
    /// Let it through; where that is not as it should be, why it is done all the same.
    Forward(Option<String>),
    /// Answer 409: IPA pauses and asks again, and no token is spent.
    Hold {
        /// For the log and for IPA's.
        why: String,
        /// IPA is to be restarted now.
        restart: bool,
    },
}

/// Decides about a lookup.
pub fn lookup(facts: &LookupFacts<'_>) -> LookupAction {
    let hold = |why: String, restart| LookupAction::Hold { why, restart };
    let gate_is_open = facts.held_for.is_some_and(|held| held >= facts.wait);
    let opened =
        |why: &str| LookupAction::Forward(Some(format!("{why}, and lookups were held for long enough")));
    if facts.forwarded_before {
        return LookupAction::Forward(None);
    }
    // Whoever asks now may be gone before it has the answer, and the token with it. systemd ends in bounded time.
    if facts.is_restarting {
        return hold("ironic-python-agent is being restarted".to_owned(), false);
    }
    let Some(decided) = facts.decided else {
        let why = "there is no advertise address yet";
        return if gate_is_open { opened(why) } else { hold(why.to_owned(), false) };
    };
    if facts.started_with == Some(decided) {
        return LookupAction::Forward(None);
    }
    let why = match facts.started_with {
        Some(other) => format!("ironic-python-agent started with {other}, and {decided} is right"),
        None => format!("ironic-python-agent did not start with the drop-in that says {decided}"),
    };
    if gate_is_open {
        return opened(&why);
    }
    match (facts.can_restart, facts.restarted_with == Some(decided)) {
        (true, true) => {
            LookupAction::Forward(Some(format!("{why}, also after its restart: does it read the drop-in?")))
        }
        (true, false) => hold(why, facts.on_disk == Some(decided)),
        // Nothing shows that it is wrong, and its heartbeats are judged.
        (false, _) if facts.started_with.is_none() => LookupAction::Forward(Some(why)),
        (false, _) => hold(format!("{why}: it has to be restarted"), false),
    }
}

/// What is known when a heartbeat arrives.
#[derive(Debug, Clone)]
pub struct HeartbeatFacts<'a> {
    /// The advertise address that was decided on.
    pub decided: Option<&'a Host>,
    /// The operator chose it.
    pub operator: bool,
    /// This machine's addresses.
    pub local: Option<&'a Local>,
    /// The URL that Ironic holds.
    pub held: Option<&'a str>,
}

/// What to do with a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeartbeatAction {
    /// Let it through as it is.
    Forward,
    /// Let it through with this URL.
    Repair(String),
    /// Answer 409 with this explanation.
    Hold(String),
}

/// Decides about a heartbeat with this URL and, where it carries one, this certificate.
pub fn heartbeat(url: &str, pem: Option<&str>, facts: &HeartbeatFacts<'_>) -> (HeartbeatAction, Judgement) {
    let mut judgement = judge(url, &context(facts));
    let mismatch = certificate_reason(url, pem, facts);
    judgement.reasons.extend(mismatch);
    if !judgement.reasons.is_empty() {
        judgement.verdict = Verdict::Bad;
    }
    let action = match facts.held {
        Some(held) => after_acceptance(url, held, &judgement),
        None if judgement.verdict == Verdict::Good => HeartbeatAction::Forward,
        None => before_acceptance(url, pem, facts, &judgement),
    };
    (action, judgement)
}

/// Ironic does not require TLS of us here: where it does, it refuses an http URL before it pins it.
fn context(facts: &HeartbeatFacts<'_>) -> Context {
    let local = facts.local.filter(|_| !facts.operator).cloned();
    Context {
        local: local.map(|local| Local { decided: facts.decided.cloned(), ..local }),
        ..Context::default()
    }
}

fn certificate_reason(url: &str, pem: Option<&str>, facts: &HeartbeatFacts<'_>) -> Option<Reason> {
    match (callback_url::host(url)?, pem?) {
        (Host::Ip(ip), pem) => (certificate::is_for(pem, ip) == Some(false)).then_some(Reason::SanMismatch),
        (Host::Name(_), _) => (!facts.operator).then_some(Reason::HostnameWithTls),
    }
}

/// What Ironic sees never changes: a URL that was put right before is put right to the very same.
fn after_acceptance(url: &str, held: &str, judgement: &Judgement) -> HeartbeatAction {
    let was_repaired = judgement.verdict == Verdict::Bad
        && !callback_url::same_to_ironic(url, held)
        && callback_url::host(held).and_then(|host| with_host(url, &host)).as_deref() == Some(held);
    if was_repaired { HeartbeatAction::Repair(held.to_owned()) } else { HeartbeatAction::Forward }
}

fn before_acceptance(
    url: &str,
    pem: Option<&str>,
    facts: &HeartbeatFacts<'_>,
    judgement: &Judgement,
) -> HeartbeatAction {
    let reasons: Vec<_> = judgement.reasons.iter().map(|reason| reason.words()).collect();
    let hold = |why: &str| {
        HeartbeatAction::Hold(format!(
            "bad callback URL \"{}\" ({}): {why}",
            foreign_text(url, None),
            reasons.join("; ")
        ))
    };
    let Some(decided) = facts.decided else {
        return hold("there is no advertise address to repair it with");
    };
    let Some(repaired) = with_host(url, decided) else {
        return hold("scheme and port cannot be told, so it cannot be repaired");
    };
    if judge(&repaired, &context(facts)).verdict == Verdict::Bad {
        return hold("putting the right host into it does not make it good");
    }
    if repaired.starts_with("https:") {
        let certified = match (pem, decided) {
            (Some(pem), Host::Ip(ip)) => certificate::is_for(pem, *ip) == Some(true),
            _ => false,
        };
        if !certified {
            return hold(&format!(
                "the conductor could not verify a certificate for {decided}; restart ironic-python-agent with \
                 advertise_host = {decided} (and power-cycle the node through Ironic if it then has no token)"
            ));
        }
    }
    HeartbeatAction::Repair(repaired)
}

/// The URL with another host: its scheme and port as they stand, nothing else of it.
fn with_host(url: &str, host: &Host) -> Option<String> {
    let scheme = [Scheme::Http, Scheme::Https].into_iter().find(|scheme| {
        let name = scheme.as_str();
        url.get(..name.len() + 3).is_some_and(|start| start.eq_ignore_ascii_case(&format!("{name}://")))
    })?;
    let port = callback_url::port(url)?;
    Some(callback_url::build(scheme, host, port))
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
