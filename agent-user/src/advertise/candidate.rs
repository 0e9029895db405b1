//! One candidate, judged.

use std::net::{IpAddr, Ipv4Addr};

use callback_url::{Reason, address_class};
use fib::{Errno, Link};

use super::facts::{Candidate, Destination, RouteFailure};
use super::{CandidateTrace, Origin, Refusal};

/// Judges every candidate towards one address of the API.
pub fn judge_destination(destination: &Destination, interface: Option<&str>) -> Vec<CandidateTrace> {
    match &destination.candidates {
        Err(failure) => vec![no_candidate(destination.ip, failure)],
        Ok(candidates) => {
            let mut traces: Vec<_> =
                candidates.iter().map(|candidate| judge(destination.ip, candidate, interface)).collect();
            prefer_lasting(traces.iter_mut());
            traces
        }
    }
}

/// A deprecated or temporary address is only a last resort: where another one is accepted, it is not.
pub fn prefer_lasting<'a>(traces: impl Iterator<Item = &'a mut CandidateTrace>) {
    let mut traces: Vec<_> = traces.collect();
    if traces.iter().any(|trace| trace.accepted && trace.reason.is_none()) {
        for trace in &mut traces {
            trace.accepted &= trace.reason.is_none();
        }
    }
}

fn no_candidate(ip: IpAddr, failure: &RouteFailure) -> CandidateTrace {
    let (refusal, detail) = match failure {
        RouteFailure::Kernel(errno) => {
            let (refusal, words) = match *errno {
                Errno::ACCES => (Refusal::Prohibit, "a route or rule prohibits it"),
                Errno::INVAL => (Refusal::Blackhole, "the route is a blackhole"),
                Errno::HOSTUNREACH => (Refusal::Unreachable, "the route says unreachable"),
                Errno::NETDOWN => (Refusal::DeviceDown, "the outgoing device is down"),
                Errno::NODEV => (Refusal::WrongDevice, "the device does not exist"),
                _ => (Refusal::NoRoute, "the kernel has no route to it"),
            };
            (refusal, format!("{words} ({errno})"))
        }
        RouteFailure::NoSource => {
            (Refusal::NoRoute, "the kernel has a route to it, but no address to send from".to_owned())
        }
        RouteFailure::NoSuchDevice(name) => {
            (Refusal::WrongDevice, format!("there is no device {name:?} here"))
        }
        RouteFailure::NoAddressOnDevice(name) => {
            (Refusal::NoRoute, format!("device {name} has no route to it and no address of its family"))
        }
        RouteFailure::Question(error) => {
            (Refusal::NoRoute, format!("the kernel could not be asked: {error}"))
        }
    };
    CandidateTrace {
        ip,
        source: None,
        device: None,
        table: None,
        accepted: false,
        reason: Some(refusal.as_str()),
        detail: Some(detail),
        origin: Origin::Route,
        refusal: Some(refusal),
    }
}

/// Judges one candidate towards one address of the API.
pub fn judge(ip: IpAddr, candidate: &Candidate, interface: Option<&str>) -> CandidateTrace {
    let refused = refuse(candidate, interface);
    let last_resort = last_resort(candidate);
    let (reason, detail) = match (&refused, last_resort) {
        (Some((refusal, detail)), _) => (Some(refusal.as_str()), Some(detail.clone())),
        (None, Some((reason, detail))) => (Some(reason), Some(detail.to_owned())),
        (None, None) => (None, None),
    };
    CandidateTrace {
        ip,
        source: Some(candidate.source),
        device: candidate.link.as_ref().map(Link::shown),
        // Table 0: no table had the route.
        table: candidate.route.ok().and_then(|route| route.table).filter(|table| *table != 0),
        accepted: refused.is_none(),
        reason,
        detail,
        origin: if candidate.by_interface { Origin::Interface } else { Origin::Route },
        refusal: refused.map(|(refusal, _)| refusal),
    }
}

fn last_resort(candidate: &Candidate) -> Option<(&'static str, &'static str)> {
    let address = candidate.address.as_ref()?;
    if address.deprecated {
        return Some(("deprecated", "its preferred lifetime is over: a last resort"));
    }
    if address.temporary {
        return Some(("temporary", "a privacy address that will be replaced: a last resort"));
    }
    is_clat(address.ip).then_some(("clat", "an address of 464XLAT's, which exists here only: a last resort"))
}

/// 192.0.0.0/29 (RFC 7335): translated to IPv6 on the way, so that nobody can connect to it.
fn is_clat(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(ip) if ip.to_bits() >> 3 == Ipv4Addr::new(192, 0, 0, 0).to_bits() >> 3)
}

/// The first thing that speaks against a candidate.
fn refuse(candidate: &Candidate, interface: Option<&str>) -> Option<(Refusal, String)> {
    let source = candidate.source;
    if let Some(refused) = by_class(candidate) {
        return Some(refused);
    }
    let Some(address) = &candidate.address else {
        return Some((Refusal::NotAssigned, format!("no device here has {source}")));
    };
    if address.dad_failed {
        return Some((Refusal::DadFailed, format!("another machine on the link has {source}")));
    }
    if address.tentative {
        return Some((Refusal::Tentative, format!("{source} is still being checked for duplicates")));
    }
    if let Err(errno) = candidate.route {
        let words = format!("there is a route, but not from {source} ({errno}): look at the rules");
        return Some((Refusal::SourceRouteRefused, words));
    }
    let Some(link) = &candidate.link else {
        return Some((Refusal::DeviceDown, "the outgoing device is gone".to_owned()));
    };
    let name = link.shown();
    if let Some(wanted) = interface.filter(|wanted| !link.is_named(wanted)) {
        return Some((Refusal::WrongDevice, format!("the route leaves by {name}, and {wanted} is wanted")));
    }
    if !link.up {
        return Some((Refusal::DeviceDown, format!("{name} is not up")));
    }
    if !link.carrier {
        return Some((Refusal::NoCarrier, format!("{name} has no carrier")));
    }
    None
}

/// By what kind of address it is. Where the kernel fell back to such a one because a better one is not usable yet,
/// that is the reason to tell: with nothing but a tentative address it answers `::1`.
fn by_class(candidate: &Candidate) -> Option<(Refusal, String)> {
    let source = candidate.source;
    let (refusal, words) = match address_class(source)? {
        Reason::Loopback => (Refusal::Loopback, "is loopback: the conductor would reach itself"),
        Reason::LinkLocal => (Refusal::LinkLocal, "is link-local: no host beyond this link reaches it"),
        Reason::Unspecified => (Refusal::Unspecified, "is the unspecified address"),
        _ => (Refusal::Multicast, "is no address of one machine"),
    };
    let global = || candidate.beside.iter().filter(|address| address_class(address.ip).is_none());
    if let Some(address) = global().find(|address| address.dad_failed) {
        return Some((Refusal::DadFailed, format!("another machine on the link has {}", address.ip)));
    }
    if let Some(address) = global().find(|address| address.tentative) {
        return Some((Refusal::Tentative, format!("{} is still being checked for duplicates", address.ip)));
    }
    Some((refusal, format!("{source} {words}")))
}
