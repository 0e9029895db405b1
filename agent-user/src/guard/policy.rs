//! What to do with a heartbeat. Pure: what is known in, the action out.
//!
//! A node behind the guard must never be worse off than without it. So every heartbeat passes, but one that is certain to
//! fail: Ironic would pin its URL, and the conductor could never use that. Nothing is held.

use std::collections::BTreeSet;
use std::net::IpAddr;

use callback_url::{Context, Host, Judgement, Local, Reason, Scheme, judge};

use crate::registrar;

/// With one of these the conductor cannot reach the node, wherever it is.
const CERTAIN: [Reason; 16] = [
    Reason::Empty,
    Reason::Unparseable,
    Reason::Scheme,
    Reason::Whitespace,
    Reason::PercentEncodedHost,
    Reason::ControlCharacter,
    Reason::HostMissing,
    Reason::PlaceholderHost,
    Reason::UnbracketedIpv6,
    Reason::ZoneId,
    Reason::Unspecified,
    Reason::Loopback,
    Reason::Multicast,
    Reason::Broadcast,
    Reason::PortMissing,
    Reason::PortInvalid,
];

/// What is known when a heartbeat arrives.
#[derive(Debug, Clone)]
pub struct HeartbeatFacts<'a> {
    /// The advertise address that was decided on.
    pub decided: Option<&'a Host>,
    /// The operator chose it: it need not be assigned here.
    pub operator: bool,
    /// The advertised port.
    pub port: u16,
    /// This machine's addresses; `None` where they are not known.
    pub local: Option<&'a Local>,
    /// Addresses that were assigned here since the boot, or that the drop-in has given.
    pub were_ours: &'a BTreeSet<IpAddr>,
    /// Something listens at the decided address and the advertised port, or nothing listens on that port yet.
    pub listened: bool,
    /// Every API URL is http, and the redirect holds: the next heartbeats will pass here too.
    pub may_repair: bool,
    /// The URL that Ironic holds, as far as the daemon has seen.
    pub held: Option<&'a str>,
    /// Ironic has refused a repaired URL: it holds another one, which the daemon has not seen.
    pub holds_another: bool,
    /// The URL to which a heartbeat of this node was repaired, and which Ironic then accepted.
    pub repaired: Option<&'a str>,
}

/// What to do with a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeartbeatAction {
    /// Let it through as it is.
    Pass,
    /// Let it through with this URL.
    Repair(String),
}

/// Whether the conductor can never use this URL. What a judgement finds beside that may be wrong for the network, or of
/// no matter at all.
pub fn is_certain_to_fail(url: &str, judgement: &Judgement, were_ours: &BTreeSet<IpAddr>) -> bool {
    let was_ours = || match callback_url::host(url) {
        Some(Host::Ip(ip)) => were_ours.contains(&ip.to_canonical()),
        _ => false,
    };
    judgement.reasons.iter().any(|reason| match reason {
        // A foreign address may be that of a NAT; one that was assigned here is known to be lost.
        Reason::NotAssigned => was_ours(),
        reason => CERTAIN.contains(reason),
    })
}

/// Decides about a heartbeat with this URL.
pub fn heartbeat(url: &str, facts: &HeartbeatFacts<'_>) -> (HeartbeatAction, Judgement) {
    let judgement = judge(url, &context(facts));
    let target = match (facts.repaired, facts.held) {
        _ if !is_certain_to_fail(url, &judgement, facts.were_ours) => None,
        // What Ironic sees never changes: the very same URL again, or the heartbeat as it is.
        (Some(repaired), _) => still_ours(repaired, facts).then(|| repaired.to_owned()),
        (None, Some(_)) => None,
        // It was accepted while the daemon did not look. The same repair again would be refused without end.
        (None, None) if facts.holds_another => None,
        (None, None) => first(url, facts),
    };
    (target.map_or(HeartbeatAction::Pass, HeartbeatAction::Repair), judgement)
}

/// Whether a repaired URL's address is still assigned here; where that is not known, nothing has changed.
pub fn still_ours(repaired: &str, facts: &HeartbeatFacts<'_>) -> bool {
    match (callback_url::host(repaired), facts.local) {
        (Some(Host::Ip(ip)), Some(local)) => facts.operator || local.assigned.contains(&ip.to_canonical()),
        _ => true,
    }
}

fn context(facts: &HeartbeatFacts<'_>) -> Context {
    registrar::context(facts.local, facts.decided, facts.operator)
}

/// The repair of a heartbeat before Ironic has accepted any.
fn first(url: &str, facts: &HeartbeatFacts<'_>) -> Option<String> {
    let decided = facts.decided?;
    let is_assigned = match decided {
        _ if facts.operator => true,
        Host::Ip(ip) => facts.local?.assigned.contains(ip),
        Host::Name(_) => false,
    };
    if !facts.may_repair || !is_assigned || !facts.listened {
        return None;
    }
    let repaired = with_host(url, decided, facts.port)?;
    let judgement = judge(&repaired, &context(facts));
    (!is_certain_to_fail(&repaired, &judgement, facts.were_ours)).then_some(repaired)
}

/// The URL with another host: its port as it stands, the advertised one where that is unreadable, and nothing else of it.
/// An https URL is left alone: its certificate is made for the address in it.
fn with_host(url: &str, host: &Host, port: u16) -> Option<String> {
    let https = Scheme::Https.as_str();
    let is_https = url.get(..https.len()).is_some_and(|start| start.eq_ignore_ascii_case(https));
    let port = callback_url::port(url).unwrap_or(port);
    (!is_https).then(|| callback_url::build(Scheme::Http, host, port))
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
