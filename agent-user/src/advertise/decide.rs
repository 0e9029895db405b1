//! The decision itself.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use callback_url::{ApiUrl, Host, Scheme, address_class};
use fib::{Address, Link, Route};
use text::labels;

use super::candidate::{judge, judge_destination, prefer_lasting};
use super::facts::{Answered, Candidate, Committed, Facts, Pinned, Target};
use super::{CandidateTrace, Refusal, TargetTrace, order};
use crate::params::{AdvertiseParameters, FamilyChoice};

labels! {
    /// Address family, by the names that `ip` uses.
    pub enum Family {
        /// IPv4.
        Inet = "inet",
        /// IPv6.
        Inet6 = "inet6",
    }
}

impl Family {
    /// Of an address; an IPv4-mapped one is IPv4.
    pub fn of(ip: IpAddr) -> Self {
        if ip.to_canonical().is_ipv4() { Self::Inet } else { Self::Inet6 }
    }
}

labels! {
    /// Where an address comes from.
    pub enum Origin {
        /// The kernel sends from it to the API.
        Route = "route",
        /// The operator said so.
        Operator = "operator",
        /// Ironic holds it, and it is still assigned here.
        Pinned = "pinned",
        /// IPA has started with it, and it is still assigned here.
        Committed = "committed",
        /// Ironic answered a connection that came from it.
        Answered = "answered",
        /// It is on the device that the operator named; that device has no route to the API.
        Interface = "interface",
    }
}

/// The advertise address, or why there is none, with the trace of every candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What to advertise: an address, or the operator's name.
    pub address: Option<Host>,
    /// The outgoing device (for a pinned address: the device that has it).
    pub device: Option<String>,
    /// Family of the address; `None` for a name.
    pub family: Option<Family>,
    /// Where the address comes from.
    pub origin: Option<Origin>,
    /// The API URL that it is for.
    pub api_url: Option<ApiUrl>,
    /// The callback URL.
    pub callback_url: Option<String>,
    /// Whether the address works now: a pinned one stays chosen through a loss of carrier, but is not valid.
    pub valid: bool,
    /// Why there is no address, or why it is not valid.
    pub refusal: Option<Refusal>,
    /// The same as a sentence; also set where the address is only a last resort.
    pub detail: Option<String>,
    /// Every API URL with every candidate.
    pub trace: Vec<TargetTrace>,
}

impl Decision {
    /// How the daemon starts.
    pub fn not_asked() -> Self {
        let detail = Some("the kernel has not been asked yet".to_owned());
        Self { refusal: None, detail, ..Self::none(Refusal::NoApiUrl) }
    }

    /// No address, for this reason and without a trace.
    pub fn none(refusal: Refusal) -> Self {
        Self {
            address: None,
            device: None,
            family: None,
            origin: None,
            api_url: None,
            callback_url: None,
            valid: false,
            refusal: Some(refusal),
            detail: None,
            trace: Vec::new(),
        }
    }
}

impl fmt::Display for Decision {
    /// One sentence for a log line or a console.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let detail = self.detail.as_deref().unwrap_or_default();
        let Some(address) = &self.address else {
            return match self.refusal {
                Some(refusal) => write!(f, "no advertise address ({}): {detail}", refusal.as_str()),
                None => write!(f, "no advertise address: {detail}"),
            };
        };
        write!(f, "advertise {address}")?;
        if let Some(device) = &self.device {
            write!(f, " on {device}")?;
        }
        match self.origin {
            Some(Origin::Operator) => write!(f, ", as the operator says")?,
            Some(Origin::Pinned) => write!(f, ", which Ironic holds and which is still assigned")?,
            Some(Origin::Committed) => {
                write!(f, ", with which ironic-python-agent has started and which is still assigned")?;
            }
            Some(Origin::Answered) => {
                if let Some(url) = &self.api_url {
                    write!(f, ", the source of a connection that {url} answered")?;
                }
            }
            Some(Origin::Interface) => write!(f, ", the address of the device that the operator named")?,
            Some(Origin::Route) | None => {
                if let Some(url) = &self.api_url {
                    write!(f, ", the source of the route to {url}")?;
                }
            }
        }
        match (&self.detail, self.valid) {
            (Some(detail), true) => write!(f, " ({detail})"),
            (Some(detail), false) => write!(f, " (not valid now: {detail})"),
            (None, _) => Ok(()),
        }
    }
}

/// Decides: the operator's host, else the pinned address while it is still assigned here, else the committed one while it is,
/// else the one that Ironic was reached from, else the source towards the first API URL that has one. An address that
/// will not last counts only where no URL has a better one.
pub fn decide(facts: &Facts, wanted: &AdvertiseParameters) -> Decision {
    let mut trace: Vec<_> = facts.targets.iter().map(|target| judge_target(target, wanted)).collect();
    prefer_lasting(trace.iter_mut().flat_map(|target| &mut target.resolved));
    let chosen = by_operator(wanted)
        .or_else(|| facts.pinned.as_ref().and_then(|pinned| by_pin(pinned, wanted)))
        .or_else(|| facts.committed.as_ref().and_then(|committed| by_commitment(committed, wanted)))
        .or_else(|| facts.answered.as_ref().and_then(|answered| by_answer(answered, &trace, wanted)))
        .or_else(|| by_route(&trace, wanted))
        .unwrap_or_else(|| nothing(&trace));
    Decision { trace, ..chosen }
}

fn judge_target(target: &Target, wanted: &AdvertiseParameters) -> TargetTrace {
    let url = target.url.clone();
    let mut destinations: Vec<_> = match &target.resolution {
        Ok(destinations) => {
            destinations.iter().filter(|one| family_is_wanted(one.ip, wanted.family)).collect()
        }
        Err(error) => {
            return TargetTrace { failure: Some(error.clone()), url, resolved: Vec::new() };
        }
    };
    let family = match wanted.family {
        FamilyChoice::Auto => "",
        FamilyChoice::Inet => " of family inet",
        FamilyChoice::Inet6 => " of family inet6",
    };
    let failure = destinations.is_empty().then(|| format!("{} has no address{family}", url.host));
    let usable_source =
        |trace: &[CandidateTrace]| trace.iter().find(|one| one.accepted).and_then(|one| one.source);
    destinations.sort_by_key(|destination| destination.ip);
    let mut judged: Vec<_> = destinations
        .into_iter()
        .map(|destination| (destination.ip, judge_destination(destination, wanted.interface.as_deref())))
        .collect();
    order::sort(&mut judged, |(ip, traces)| (*ip, usable_source(traces)));
    TargetTrace { url, resolved: judged.into_iter().flat_map(|(_, traces)| traces).collect(), failure }
}

fn family_is_wanted(ip: IpAddr, choice: FamilyChoice) -> bool {
    match choice {
        FamilyChoice::Auto => true,
        FamilyChoice::Inet => Family::of(ip) == Family::Inet,
        FamilyChoice::Inet6 => Family::of(ip) == Family::Inet6,
    }
}

/// The operator may give a name or an address behind NAT: nothing of this machine is asked about it.
fn by_operator(wanted: &AdvertiseParameters) -> Option<Decision> {
    let host = wanted.host.clone()?;
    Some(Decision {
        family: match &host {
            Host::Ip(ip) => Some(Family::of(*ip)),
            Host::Name(_) => None,
        },
        origin: Some(Origin::Operator),
        callback_url: Some(callback_url::build(wanted.protocol, &host, wanted.port)),
        address: Some(host),
        valid: true,
        refusal: None,
        ..Decision::none(Refusal::NoRoute)
    })
}

/// What Ironic holds cannot be changed, so it stays while it is assigned here and its device is up; the lack of
/// carrier only makes it not valid for the time. A URL that is not what the daemon would write for that address (another port,
/// a trailing slash, text behind the host) is none that the daemon could repeat: keeping its address would help no node.
fn by_pin(pinned: &Pinned, wanted: &AdvertiseParameters) -> Option<Decision> {
    let (ip, address, link) = (pinned.ip?, pinned.address.as_ref()?, pinned.link.as_ref()?);
    // With auto TLS the URL of an IPA with http set is https; and one that should be https may be http.
    let http = wanted.protocol_is_expected.then_some(Scheme::Http);
    let url = [wanted.protocol, Scheme::Https]
        .into_iter()
        .chain(http)
        .map(|scheme| callback_url::build(scheme, &Host::Ip(ip), wanted.port))
        .find(|url| callback_url::same_to_ironic(&pinned.url, url))?;
    is_kept(ip, address, link).then(|| keep(ip, link, Origin::Pinned, url))
}

/// The certificate of an IPA that has started is made for its address: it stays as a pinned one does.
fn by_commitment(committed: &Committed, wanted: &AdvertiseParameters) -> Option<Decision> {
    let (address, link) = (committed.address.as_ref()?, committed.link.as_ref()?);
    let url = callback_url::build(wanted.protocol, &Host::Ip(committed.ip), wanted.port);
    is_kept(committed.ip, address, link).then(|| keep(committed.ip, link, Origin::Committed, url))
}

/// Only the loss of an address moves the choice from it: a better route or another address do not.
fn is_kept(ip: IpAddr, address: &Address, link: &Link) -> bool {
    !address.dad_failed && !address.tentative && link.up && address_class(ip).is_none()
}

fn keep(ip: IpAddr, link: &Link, origin: Origin, callback_url: String) -> Decision {
    Decision {
        address: Some(Host::Ip(ip)),
        device: Some(link.shown()),
        family: Some(Family::of(ip)),
        origin: Some(origin),
        callback_url: Some(callback_url),
        valid: link.carrier,
        refusal: (!link.carrier).then_some(Refusal::NoCarrier),
        detail: (!link.carrier).then(|| format!("{} has no carrier", link.shown())),
        ..Decision::none(Refusal::NoRoute)
    }
}

/// What Ironic was reached from beats what is merely routed; whatever is refused for a route's source is refused for it.
fn by_answer(answered: &Answered, trace: &[TargetTrace], wanted: &AdvertiseParameters) -> Option<Decision> {
    if !family_is_wanted(answered.ip, wanted.family) {
        return None;
    }
    let device = answered.link.as_ref().map(|link| link.index);
    let candidate = Candidate {
        source: answered.ip,
        chosen_by_kernel: true,
        by_interface: false,
        address: answered.address,
        beside: Arc::default(),
        route: Ok(Route { source: Some(answered.ip), device, table: None }),
        link: answered.link.clone(),
    };
    let judged = judge(answered.ip, &candidate, wanted.interface.as_deref());
    let lasts = |one: &CandidateTrace| one.accepted && one.reason.is_none();
    let has_better = || trace.iter().flat_map(|target| &target.resolved).any(lasts);
    if !judged.accepted || (judged.reason.is_some() && has_better()) {
        return None;
    }
    let host = Host::Ip(answered.ip);
    Some(Decision {
        device: judged.device,
        family: Some(Family::of(answered.ip)),
        origin: Some(Origin::Answered),
        api_url: Some(answered.url.clone()),
        callback_url: Some(callback_url::build(wanted.protocol, &host, wanted.port)),
        address: Some(host),
        valid: true,
        refusal: None,
        detail: judged.detail,
        ..Decision::none(Refusal::NoRoute)
    })
}

fn by_route(trace: &[TargetTrace], wanted: &AdvertiseParameters) -> Option<Decision> {
    trace.iter().find_map(|target| {
        let chosen = target.resolved.iter().find(|candidate| candidate.accepted)?;
        let source = chosen.source?;
        let host = Host::Ip(source);
        Some(Decision {
            device: chosen.device.clone(),
            family: Some(Family::of(source)),
            origin: Some(chosen.origin),
            api_url: Some(target.url.clone()),
            callback_url: Some(callback_url::build(wanted.protocol, &host, wanted.port)),
            address: Some(host),
            valid: true,
            refusal: None,
            detail: chosen.detail.clone(),
            ..Decision::none(Refusal::NoRoute)
        })
    })
}

/// No address: the first refusal is the one to tell, since the first API URL is the one that is wanted.
fn nothing(trace: &[TargetTrace]) -> Decision {
    let Some(first) = trace.first() else {
        let detail = Some("there is no usable API URL".to_owned());
        return Decision { detail, ..Decision::none(Refusal::NoApiUrl) };
    };
    let refused = first.resolved.iter().find_map(|candidate| Some((candidate.refusal?, candidate)));
    match refused {
        Some((refusal, candidate)) => {
            let words = candidate.detail.as_deref().unwrap_or_default();
            let detail = Some(format!("{}: {words}", candidate.ip));
            Decision { detail, ..Decision::none(refusal) }
        }
        None => Decision { detail: first.failure.clone(), ..Decision::none(Refusal::NameUnresolved) },
    }
}
