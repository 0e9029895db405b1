//! Asks the kernel everything that the decision depends on.

use std::net::IpAddr;

use callback_url::{ApiUrl, Host, Local, address_class};
use fib::{Address, Errno, Kernel, Link, Route, RouteQuestion, RtnlError, Seen};

use crate::advertise::{Candidate, Destination, Facts, Pinned, RouteFailure, Target};

/// So many other addresses of a device are considered where the kernel's choice is only a last resort.
const ALTERNATIVES: usize = 8;

/// An API URL and the addresses of its host, or why there are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedTarget {
    /// The URL.
    pub url: ApiUrl,
    /// In any order.
    pub addresses: Result<Vec<IpAddr>, String>,
}

/// Asks about every API address, and about the address that Ironic holds.
pub fn ask(
    kernel: &mut Kernel,
    targets: &[ResolvedTarget],
    pinned: Option<&str>,
    interface: Option<&str>,
) -> Facts {
    let targets = targets.iter().map(|target| {
        let addresses = target.addresses.as_ref();
        let destinations = addresses.map(|addresses| {
            let mut addresses: Vec<_> = addresses.iter().map(IpAddr::to_canonical).collect();
            addresses.sort_unstable();
            addresses.dedup();
            addresses.into_iter().map(|ip| destination(kernel, ip, target.url.port, interface)).collect()
        });
        Target { url: target.url.clone(), resolution: destinations.map_err(Clone::clone) }
    });
    let targets = targets.collect();
    Facts { targets, pinned: pinned.map(|url| ask_pinned(kernel, url)) }
}

fn ask_pinned(kernel: &mut Kernel, url: &str) -> Pinned {
    let ip = callback_url::host(url).and_then(|host| match host {
        Host::Ip(ip) => Some(ip.to_canonical()),
        Host::Name(_) => None,
    });
    let (place, unanswered) = match ip.map(|ip| place(kernel, ip)) {
        None => (None, None),
        Some(Ok(place)) => (place, None),
        Some(Err(error)) => (None, Some(error.to_string())),
    };
    let (address, link) = place.unzip();
    Pinned { url: url.to_owned(), ip, address, link: link.flatten(), unanswered }
}

/// An address of ours and the device that has it.
fn place(kernel: &mut Kernel, ip: IpAddr) -> Result<Option<(Address, Option<Link>)>, RtnlError> {
    let Some(address) = assigned(kernel, ip)? else {
        return Ok(None);
    };
    Ok(Some((address, link(kernel, address.device)?)))
}

/// The addresses of a device, or of all; none where there is no such device, or no such family here.
fn addresses(kernel: &mut Kernel, ipv4: bool, device: Option<u32>) -> Result<Seen<Address>, RtnlError> {
    match kernel.addresses_seen(ipv4, device) {
        Err(RtnlError::Refused(Errno::NODEV | Errno::OPNOTSUPP | Errno::AFNOSUPPORT)) => {
            Ok(Seen { found: Vec::new(), complete: true })
        }
        answer => answer,
    }
}

/// The address as it is assigned here, on whichever device.
fn assigned(kernel: &mut Kernel, ip: IpAddr) -> Result<Option<Address>, RtnlError> {
    let seen = addresses(kernel, ip.is_ipv4(), None)?;
    match seen.found.into_iter().find(|address| address.ip == ip) {
        None if !seen.complete => Err(RtnlError::Interrupted),
        address => Ok(address),
    }
}

/// The device with this index; none where it has just gone.
fn link(kernel: &mut Kernel, index: u32) -> Result<Option<Link>, RtnlError> {
    match kernel.link(index) {
        Ok(link) => Ok(Some(link)),
        Err(RtnlError::Refused(Errno::NODEV)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn destination(kernel: &mut Kernel, ip: IpAddr, port: u16, interface: Option<&str>) -> Destination {
    Destination { ip, candidates: candidates(kernel, ip, port, interface) }
}

fn candidates(
    kernel: &mut Kernel,
    ip: IpAddr,
    port: u16,
    interface: Option<&str>,
) -> Result<Vec<Candidate>, RouteFailure> {
    let device = match interface {
        None => None,
        Some(name) => Some(kernel.link_named(name).map_err(|error| match error.errno() {
            Some(Errno::NODEV) => RouteFailure::NoSuchDevice(name.to_owned()),
            _ => unanswered(error),
        })?),
    };
    let question =
        RouteQuestion { destination: ip, port, source: None, device: device.as_ref().map(|link| link.index) };
    let route = kernel.route(&question);
    match (route, device) {
        // Asked for a device, IPv4 assumes an unrouted destination on its link; no table had a route then.
        (Ok(Route { table: None | Some(0), .. }), Some(link)) if ip.is_ipv4() => {
            by_interface(kernel, ip, link)
        }
        (Ok(route), _) => by_route(kernel, question, route),
        (Err(RtnlError::Refused(Errno::NETUNREACH | Errno::HOSTUNREACH)), Some(link)) => {
            by_interface(kernel, ip, link)
        }
        (Err(RtnlError::Refused(errno)), _) => Err(RouteFailure::Kernel(errno)),
        (Err(error), _) => Err(unanswered(error)),
    }
}

#[allow(clippy::needless_pass_by_value)] // For map_err.
fn unanswered(error: RtnlError) -> RouteFailure {
    RouteFailure::Question(error.to_string())
}

/// The kernel's choice; and where that is only a last resort, the other addresses of the device.
fn by_route(
    kernel: &mut Kernel,
    question: RouteQuestion,
    route: Route,
) -> Result<Vec<Candidate>, RouteFailure> {
    let source = route.source.ok_or(RouteFailure::NoSource)?;
    let chosen = Candidate {
        chosen_by_kernel: true,
        ..candidate(kernel, question, source, route).map_err(unanswered)?
    };
    let last_resort = chosen.address.is_some_and(|address| address.deprecated || address.temporary);
    let others: Vec<_> =
        if last_resort { chosen.beside.iter().filter(lasting).copied().collect() } else { Vec::new() };
    let others = others.into_iter().take(ALTERNATIVES);
    let mut candidates = vec![chosen];
    for other in others {
        candidates.push(candidate(kernel, question, other.ip, route).map_err(unanswered)?);
    }
    Ok(candidates)
}

fn lasting(address: &&Address) -> bool {
    usable(address) && !address.deprecated && !address.temporary
}

fn usable(address: &Address) -> bool {
    !address.tentative && !address.dad_failed && !address.link_scope && address_class(address.ip).is_none()
}

/// A connect asks the FIB a second time, with the source that the first answer gave: that answer says which way it
/// goes, and rules by source show only there.
fn candidate(
    kernel: &mut Kernel,
    question: RouteQuestion,
    source: IpAddr,
    first: Route,
) -> Result<Candidate, RtnlError> {
    let answer = match kernel.route(&RouteQuestion { source: Some(source), ..question }) {
        Ok(route) => Ok(route),
        Err(RtnlError::Refused(errno)) => Err(errno),
        // Not told; the first answer stands.
        Err(error) => {
            tracing::debug!(%error, %source, "the route from this source is not known");
            Ok(first)
        }
    };
    let device = answer.ok().and_then(|route| route.device).or(first.device);
    let beside = match device {
        Some(device) => addresses(kernel, source.is_ipv4(), Some(device))?.found,
        None => Vec::new(),
    };
    // Often on another device than the outgoing one: unnumbered NICs borrow an address of lo.
    let here = beside.iter().find(|address| address.ip == source).copied();
    let address = match here {
        Some(address) => Some(address),
        None => assigned(kernel, source)?,
    };
    let link = device.map(|device| link(kernel, device)).transpose()?.flatten();
    Ok(Candidate {
        source,
        chosen_by_kernel: false,
        by_interface: false,
        address,
        beside,
        route: answer,
        link,
    })
}

/// As IPA does with `network_interface`: the first usable address of the device, route or not.
fn by_interface(kernel: &mut Kernel, ip: IpAddr, link: Link) -> Result<Vec<Candidate>, RouteFailure> {
    let seen = addresses(kernel, ip.is_ipv4(), Some(link.index)).map_err(unanswered)?;
    if seen.found.is_empty() && !seen.complete {
        return Err(unanswered(RtnlError::Interrupted));
    }
    let beside = seen.found;
    let first = beside.iter().find(lasting).or_else(|| beside.iter().find(|one| usable(one)));
    let Some(first) = first.or_else(|| beside.first()).copied() else {
        // A device that is down loses its IPv6 addresses: that it is down is the reason to tell.
        return Err(if link.up {
            RouteFailure::NoAddressOnDevice(link.shown())
        } else {
            RouteFailure::Kernel(Errno::NETDOWN)
        });
    };
    let route = Ok(Route { source: Some(first.ip), device: Some(link.index), table: None });
    Ok(vec![Candidate {
        source: first.ip,
        chosen_by_kernel: false,
        by_interface: true,
        address: Some(first),
        beside,
        route,
        link: Some(link),
    }])
}

/// Every address of this machine, to judge a callback URL against.
///
/// # Errors
/// Where the kernel cannot be asked.
pub fn local_addresses(kernel: &mut Kernel) -> Result<Local, RtnlError> {
    let mut local = Local::default();
    for ipv4 in [true, false] {
        for address in kernel.addresses(ipv4, None)? {
            let usable = !address.tentative && !address.dad_failed;
            let list = if usable { &mut local.assigned } else { &mut local.tentative };
            list.push(address.ip);
        }
    }
    Ok(local)
}
