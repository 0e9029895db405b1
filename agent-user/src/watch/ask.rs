//! Asks the kernel everything that the decision depends on.

use std::net::{IpAddr, Ipv6Addr, UdpSocket};
use std::sync::Arc;

use callback_url::{ApiUrl, Host, Local, address_class};
use fib::{Address, Errno, Kernel, Link, Route, RouteQuestion, RtnlError};

use crate::advertise::{Answered, Candidate, Committed, Destination, Facts, Pinned, RouteFailure, Target};

use super::assigned::{Unanswered, Wanted, lasting};
use super::known::Known;
use super::reach::Reached;

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

/// What the decision depends on beside the kernel.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// The API URLs with their addresses.
    pub targets: Vec<ResolvedTarget>,
    /// The callback URL that Ironic holds.
    pub pinned: Option<String>,
    /// The address that IPA is known to have started with.
    pub committed: Option<IpAddr>,
    /// What Ironic was reached from.
    pub reached: Option<Reached>,
    /// Only this device's route and addresses count.
    pub interface: Option<String>,
}

/// What the kernel said.
#[derive(Debug)]
pub struct Asked {
    /// For the decision.
    pub facts: Facts,
    /// This machine's addresses; `None` where no complete list came.
    pub local: Option<Arc<Local>>,
}

/// Asks about every API address, about the addresses that are held or were answered, and which ones this machine has.
pub fn ask(kernel: &mut Kernel, question: &Question) -> Asked {
    Known::default().ask(kernel, question)
}

impl Known {
    /// The same; what is known already is not asked for.
    pub(super) fn ask(&mut self, kernel: &mut Kernel, question: &Question) -> Asked {
        self.begin(kernel);
        let mut asking =
            Asking { kernel, known: self, interface: question.interface.as_deref(), device: None };
        let targets = question.targets.iter().map(|target| asking.target(target)).collect();
        let pinned = question.pinned.as_deref().map(|url| asking.pinned(url));
        let committed = question.committed.map(|ip| asking.committed(ip));
        let answered = question.reached.as_ref().map(|reached| asking.answered(reached));
        let facts = Facts { targets, pinned, committed, answered };
        Asked { facts, local: self.assigned.local() }
    }
}

/// An address as it is assigned here, and the device that has it; or why that is not known.
#[derive(Default)]
struct Place {
    address: Option<Address>,
    link: Option<Link>,
    unanswered: Option<Unanswered>,
}

/// One round of questions.
struct Asking<'a> {
    kernel: &'a mut Kernel,
    known: &'a mut Known,
    interface: Option<&'a str>,
    /// The device of that name, once it was asked for.
    device: Option<Result<Link, RouteFailure>>,
}

impl Asking<'_> {
    fn target(&mut self, target: &ResolvedTarget) -> Target {
        let addresses = target.addresses.as_ref();
        let destinations = addresses.map(|addresses| {
            let mut addresses: Vec<_> = addresses.iter().map(IpAddr::to_canonical).collect();
            addresses.sort_unstable();
            addresses.dedup();
            let port = target.url.port;
            let judged = addresses.into_iter();
            judged.map(|ip| Destination { ip, candidates: self.candidates(ip, port) }).collect()
        });
        Target { url: target.url.clone(), resolution: destinations.map_err(Clone::clone) }
    }

    fn pinned(&mut self, url: &str) -> Pinned {
        let ip = callback_url::host(url).and_then(|host| match host {
            Host::Ip(ip) => Some(ip.to_canonical()),
            Host::Name(_) => None,
        });
        let Place { address, link, unanswered } = ip.map(|ip| self.place(ip)).unwrap_or_default();
        Pinned { url: url.to_owned(), ip, address, link, unanswered }
    }

    fn committed(&mut self, ip: IpAddr) -> Committed {
        let ip = ip.to_canonical();
        let Place { address, link, unanswered } = self.place(ip);
        Committed { ip, address, link, unanswered }
    }

    fn answered(&mut self, Reached { source, url }: &Reached) -> Answered {
        let Place { address, link, unanswered } = self.place(*source);
        Answered { ip: *source, url: url.clone(), address, link, unanswered }
    }

    fn place(&mut self, ip: IpAddr) -> Place {
        let unknown = |error| Place { unanswered: Some(error), ..Place::default() };
        let wanted = Wanted { ip, device: None, in_use: false };
        let address = match self.known.assigned.find(self.kernel, wanted) {
            Ok(Some(address)) => address,
            Ok(None) => return Place::default(),
            Err(error) => return unknown(error),
        };
        match self.known.link(self.kernel, address.device) {
            Ok(link) => Place { address: Some(address), link, unanswered: None },
            Err(error) => unknown(error),
        }
    }

    /// The device that the operator named.
    fn device(&mut self) -> Result<Option<Link>, RouteFailure> {
        let Some(name) = self.interface else { return Ok(None) };
        let device = self.device.get_or_insert_with(|| {
            self.kernel.link_named(name).map_err(|error| match error.errno() {
                Some(Errno::NODEV) => RouteFailure::NoSuchDevice(name.to_owned()),
                _ => RouteFailure::Question(error.to_string()),
            })
        });
        device.clone().map(Some)
    }

    fn candidates(&mut self, ip: IpAddr, port: u16) -> Result<Vec<Candidate>, RouteFailure> {
        let device = self.device()?;
        let device_index = device.as_ref().map(|link| link.index);
        let mut question = RouteQuestion { destination: ip, port, source: None, device: device_index };
        let mut route = self.kernel.route(&question);
        let without_route = matches!(route, Err(RtnlError::Refused(Errno::NETUNREACH)));
        if let Some(source) = source_first(ip, port).filter(|_| without_route && device.is_none()) {
            question.source = Some(source);
            route = self.kernel.route(&question).map(|route| Route { source: Some(source), ..route });
        }
        match (route, device) {
            // Asked for a device, IPv4 assumes an unrouted destination on its link; no table had a route then.
            (Ok(Route { table: None | Some(0), .. }), Some(link)) if ip.is_ipv4() => {
                self.by_interface(ip, link)
            }
            (Ok(route), _) => self.by_route(question, route),
            (Err(RtnlError::Refused(Errno::NETUNREACH | Errno::HOSTUNREACH)), Some(link)) => {
                self.by_interface(ip, link)
            }
            (Err(RtnlError::Refused(errno)), _) => Err(RouteFailure::Kernel(errno)),
            (Err(error), _) => Err(RouteFailure::Question(error.to_string())),
        }
    }

    /// The kernel's choice; and where that is only a last resort, the other addresses of the device.
    fn by_route(&mut self, question: RouteQuestion, route: Route) -> Result<Vec<Candidate>, RouteFailure> {
        let source = route.source.ok_or(RouteFailure::NoSource)?;
        let chosen = self.candidate(question, source, route).map_err(RouteFailure::Question)?;
        let chosen = Candidate { chosen_by_kernel: true, ..chosen };
        let last_resort = chosen.address.is_some_and(|address| address.deprecated || address.temporary);
        let others: Vec<_> = if last_resort {
            chosen.beside.iter().filter(|one| usable(one) && lasting(one)).copied().collect()
        } else {
            Vec::new()
        };
        let mut candidates = vec![chosen];
        for other in others.into_iter().take(ALTERNATIVES) {
            let other = self.candidate(question, other.ip, route);
            candidates.push(other.map_err(RouteFailure::Question)?);
        }
        Ok(candidates)
    }

    /// A connect asks the FIB a second time, with the source that the first answer gave: that answer says which way it
    /// goes, and rules by source show only there.
    fn candidate(
        &mut self,
        question: RouteQuestion,
        source: IpAddr,
        first: Route,
    ) -> Result<Candidate, Unanswered> {
        let answer = match self.kernel.route(&RouteQuestion { source: Some(source), ..question }) {
            Ok(route) => Ok(route),
            Err(RtnlError::Refused(errno)) => Err(errno),
            // Unknown; the first answer stands.
            Err(error) => {
                tracing::debug!(%error, %source, "the route from this source is not known");
                Ok(first)
            }
        };
        let device = answer.ok().and_then(|route| route.device).or(first.device);
        // Often on another device than the outgoing one: unnumbered NICs borrow an address of lo.
        let wanted = Wanted { ip: source, device, in_use: true };
        let address = self.known.assigned.find(self.kernel, wanted)?;
        let sound = address.is_some_and(|address| usable(&address) && lasting(&address));
        let beside = match device.filter(|_| !sound) {
            Some(device) => {
                self.known.assigned.refresh(self.kernel, source);
                self.known.assigned.on(device, source)?.0
            }
            None => Arc::default(),
        };
        // As it is by now.
        let address = beside.iter().find(|address| address.ip == source).copied().or(address);
        let link = device.map(|device| self.known.link(self.kernel, device)).transpose()?.flatten();
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
    fn by_interface(&mut self, ip: IpAddr, link: Link) -> Result<Vec<Candidate>, RouteFailure> {
        self.known.assigned.refresh(self.kernel, ip);
        let (beside, complete) = self.known.assigned.on(link.index, ip).map_err(RouteFailure::Question)?;
        if beside.is_empty() && !complete {
            return Err(RouteFailure::Question(RtnlError::Interrupted.to_string()));
        }
        let first = beside.iter().find(|one| usable(one) && lasting(one));
        let first = first.or_else(|| beside.iter().find(|one| usable(one)));
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
}

/// Where no route is for every source, an IPv6 connect chooses its source first and asks again with it: so a default route
/// for one prefix only (`from PREFIX`) is found (`ip6_dst_lookup_tail`, net/ipv6/ip6_output.c). A UDP socket is asked, which
/// sends nothing.
fn source_first(ip: IpAddr, port: u16) -> Option<IpAddr> {
    if ip.is_ipv4() {
        return None;
    }
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((ip, port)).ok()?;
    socket.local_addr().ok().map(|local| local.ip()).filter(|source| !source.is_unspecified())
}

fn usable(address: &Address) -> bool {
    !address.tentative && !address.dad_failed && !address.link_scope && address_class(address.ip).is_none()
}
