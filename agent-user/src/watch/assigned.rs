//! The addresses of this machine: for the candidates, for what Ironic holds, and for whoever judges a callback URL.
//!
//! The kernel is asked for all of them once; its announcements then keep the list. Only good news is believed from a kept
//! list: before an address is concluded to be missing or unusable the kernel is asked again.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use callback_url::Local;
use fib::{Address, AddressChange, Assignment, Errno, Kernel, RtnlError, Seen};

/// Why a question has no answer, for people.
pub(super) type Unanswered = String;

/// So often the addresses of a family are asked for in one round at most.
const ASKED: usize = 2;

/// Both families, of every device.
#[derive(Debug, Default)]
pub(super) struct Assigned {
    inet: Family,
    inet6: Family,
    local: Option<Arc<Local>>,
}

/// The addresses of one family.
#[derive(Debug, Default)]
struct Family {
    /// `None` where the kernel must be asked.
    answer: Option<Result<Seen<Assignment>, Unanswered>>,
    /// The same by device, as far as it was asked for in this round.
    by_device: HashMap<u32, Arc<[Address]>>,
    /// And what was found in it.
    found: HashMap<Wanted, Address>,
    /// How often it was asked for in this round.
    asked: usize,
}

/// Which address is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Wanted {
    /// The address.
    pub ip: IpAddr,
    /// Where it is on several devices, rather this one's.
    pub device: Option<u32>,
    /// The kernel has just named it as a source: where it is not in the list, the list is too old.
    pub in_use: bool,
}

impl Assigned {
    /// A round begins: what is not known is asked for.
    pub fn begin(&mut self, kernel: &mut Kernel) {
        for ipv4 in [true, false] {
            let family = self.family_mut(ipv4);
            family.asked = 0;
            family.by_device.clear();
            family.found.clear();
            if !matches!(&family.answer, Some(Ok(seen)) if seen.complete) {
                self.ask(kernel, ipv4);
            }
        }
    }

    /// Takes what the kernel announced.
    pub fn changed(&mut self, changes: &[AddressChange]) {
        for change in changes {
            let (AddressChange::There(one) | AddressChange::Gone(one)) = change;
            let family = self.family_mut(one.address.ip.is_ipv4());
            let Some(Ok(seen)) = &mut family.answer else { continue };
            // What came last goes first, mostly.
            let place = seen.found.iter().rposition(|known| known.is(one));
            match (change, place.and_then(|place| seen.found.get_mut(place))) {
                (AddressChange::There(_), Some(known)) if known == one => {}
                (AddressChange::There(_), Some(known)) => {
                    *known = *one;
                    self.local = None;
                }
                (AddressChange::There(_), None) => {
                    seen.found.push(*one);
                    if let Some(local) = &mut self.local {
                        list(Arc::make_mut(local), &one.address);
                    }
                }
                (AddressChange::Gone(_), _) => {
                    let gone = place.map(|place| seen.found.remove(place));
                    if let (Some(gone), Some(local)) = (gone, &mut self.local) {
                        strike(Arc::make_mut(local), &gone.address);
                    }
                }
            }
        }
    }

    /// Nothing is known any more.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Asks for the family of this address, where the round has not done so: the list may be older than what the kernel
    /// just said, and its order is the kernel's own only right after it.
    pub fn refresh(&mut self, kernel: &mut Kernel, ip: IpAddr) {
        if self.family_mut(ip.is_ipv4()).asked == 0 {
            self.ask(kernel, ip.is_ipv4());
        }
    }

    /// The address as it is assigned here, on whichever device.
    pub fn find(&mut self, kernel: &mut Kernel, wanted: Wanted) -> Result<Option<Address>, Unanswered> {
        let ipv4 = wanted.ip.is_ipv4();
        if let Some(found) = self.family_mut(ipv4).found.get(&wanted) {
            return Ok(Some(*found));
        }
        let mut address = self.look(wanted)?;
        let asked = self.family_mut(ipv4).asked;
        let again = match address {
            Some(address) => !lasting(&address) && asked == 0,
            None => asked == 0 || (wanted.in_use && asked < ASKED),
        };
        if again {
            self.ask(kernel, ipv4);
            address = self.look(wanted)?;
        }
        let family = self.family_mut(ipv4);
        match address {
            Some(address) => drop(family.found.insert(wanted, address)),
            None if !known(&family.answer)?.complete => return Err(RtnlError::Interrupted.to_string()),
            None => {}
        }
        Ok(address)
    }

    /// The addresses of one device in the family of `ip`, and whether these are all.
    pub fn on(&mut self, device: u32, ip: IpAddr) -> Result<(Arc<[Address]>, bool), Unanswered> {
        let family = self.family_mut(ip.is_ipv4());
        let seen = known(&family.answer)?;
        let found = family.by_device.entry(device).or_insert_with(|| {
            let all = seen.found.iter().map(|one| one.address);
            all.filter(|address| address.device == device).collect()
        });
        Ok((Arc::clone(found), seen.complete))
    }

    /// Every address, to judge a callback URL against; `None` where the list is not complete.
    pub fn local(&mut self) -> Option<Arc<Local>> {
        if self.local.is_none() {
            let mut local = Local::default();
            for family in [&self.inet, &self.inet6] {
                let seen = known(&family.answer).ok().filter(|seen| seen.complete)?;
                local.assigned.reserve(seen.found.len());
                seen.found.iter().for_each(|one| list(&mut local, &one.address));
            }
            self.local = Some(Arc::new(local));
        }
        self.local.clone()
    }

    fn look(&self, wanted: Wanted) -> Result<Option<Address>, Unanswered> {
        let family = if wanted.ip.is_ipv4() { &self.inet } else { &self.inet6 };
        let all = known(&family.answer)?.found.iter().map(|one| one.address);
        let mut here = all.filter(|address| address.ip == wanted.ip).peekable();
        let first = here.peek().copied();
        Ok(here.find(|address| Some(address.device) == wanted.device).or(first))
    }

    fn ask(&mut self, kernel: &mut Kernel, ipv4: bool) {
        self.local = None;
        let family = self.family_mut(ipv4);
        let asked = family.asked + 1;
        *family = Family { answer: Some(dump(kernel, ipv4)), asked, ..Family::default() };
    }

    fn family_mut(&mut self, ipv4: bool) -> &mut Family {
        if ipv4 { &mut self.inet } else { &mut self.inet6 }
    }
}

fn known(answer: &Option<Result<Seen<Assignment>, Unanswered>>) -> Result<&Seen<Assignment>, Unanswered> {
    match answer {
        Some(Ok(seen)) => Ok(seen),
        Some(Err(error)) => Err(error.clone()),
        None => Err(RtnlError::Interrupted.to_string()),
    }
}

fn list(local: &mut Local, address: &Address) {
    let usable = !address.tentative && !address.dad_failed;
    let list = if usable { &mut local.assigned } else { &mut local.tentative };
    list.push(address.ip);
    if usable && address.deprecated {
        local.deprecated.push(address.ip);
    }
    if usable && address.temporary {
        local.temporary.push(address.ip);
    }
}

/// Undoes [`list()`].
fn strike(local: &mut Local, address: &Address) {
    let mut one = Local::default();
    list(&mut one, address);
    for (wanted, list) in [
        (one.assigned, &mut local.assigned),
        (one.tentative, &mut local.tentative),
        (one.deprecated, &mut local.deprecated),
        (one.temporary, &mut local.temporary),
    ] {
        // Once: another device may have the same address.
        let place = wanted.first().and_then(|ip| list.iter().rposition(|known| known == ip));
        if let Some(place) = place {
            list.remove(place);
        }
    }
}

/// Nothing speaks against its flags.
pub(super) fn lasting(address: &Address) -> bool {
    !address.tentative && !address.dad_failed && !address.deprecated && !address.temporary
}

/// The addresses of one family; none where this kernel has no such family.
fn dump(kernel: &mut Kernel, ipv4: bool) -> Result<Seen<Assignment>, Unanswered> {
    match kernel.addresses(ipv4) {
        Err(RtnlError::Refused(Errno::OPNOTSUPP | Errno::AFNOSUPPORT)) => {
            Ok(Seen { found: Vec::new(), complete: true })
        }
        answer => answer.map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_listed_and_struck_leaves_nothing() {
        let one = Address {
            ip: "192.0.2.1".parse().unwrap(),
            device: 2,
            tentative: false,
            dad_failed: false,
            deprecated: false,
            temporary: false,
            link_scope: false,
        };
        let elsewhere = Address { device: 3, ..one };
        let mut kept = Local::default();
        list(&mut kept, &elsewhere);
        let before = kept.clone();
        for address in [
            one,
            Address { tentative: true, ..one },
            Address { deprecated: true, ..one },
            Address { temporary: true, deprecated: true, ..one },
        ] {
            list(&mut kept, &address);
            assert_ne!(kept, before, "{address:?}");
            strike(&mut kept, &address);
            assert_eq!(kept, before, "{address:?}");
        }
    }
}
