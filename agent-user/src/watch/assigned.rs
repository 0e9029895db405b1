//! The addresses of this machine, asked once a round: for the candidates, for what Ironic holds, and for whoever judges
//! a callback URL.

use std::net::IpAddr;

use callback_url::Local;
use fib::{Address, Errno, Kernel, RtnlError, Seen};

/// Why a question has no answer, for people.
pub(super) type Unanswered = String;

/// Both families, of every device.
#[derive(Debug)]
pub(super) struct Assigned {
    inet: Result<Seen<Address>, Unanswered>,
    inet6: Result<Seen<Address>, Unanswered>,
}

impl Assigned {
    /// Asks for both.
    pub(super) fn ask(kernel: &mut Kernel) -> Self {
        Self { inet: dump(kernel, true), inet6: dump(kernel, false) }
    }

    /// Asks again for the family of an address that is in use and not in the list: it came after the question.
    pub(super) fn refresh(&mut self, kernel: &mut Kernel, ip: IpAddr) {
        if self.family(ip).is_ok_and(|seen| seen.found.iter().all(|address| address.ip != ip)) {
            let fresh = dump(kernel, ip.is_ipv4());
            *(if ip.is_ipv4() { &mut self.inet } else { &mut self.inet6 }) = fresh;
        }
    }

    /// The address as it is assigned here, on whichever device.
    pub(super) fn find(&self, ip: IpAddr) -> Result<Option<Address>, Unanswered> {
        let seen = self.family(ip)?;
        match seen.found.iter().find(|address| address.ip == ip) {
            None if !seen.complete => Err(RtnlError::Interrupted.to_string()),
            address => Ok(address.copied()),
        }
    }

    /// The addresses of one device in the family of `ip`, and whether these are all.
    pub(super) fn on(&self, device: u32, ip: IpAddr) -> Result<(Vec<Address>, bool), Unanswered> {
        let seen = self.family(ip)?;
        let found = seen.found.iter().filter(|address| address.device == device).copied();
        Ok((found.collect(), seen.complete))
    }

    /// Every address, to judge a callback URL against; `None` where the list is not complete.
    pub(super) fn local(&self) -> Option<Local> {
        let mut local = Local::default();
        for seen in [&self.inet, &self.inet6] {
            let seen = seen.as_ref().ok().filter(|seen| seen.complete)?;
            for address in &seen.found {
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
        }
        Some(local)
    }

    fn family(&self, ip: IpAddr) -> Result<&Seen<Address>, Unanswered> {
        let seen = if ip.is_ipv4() { &self.inet } else { &self.inet6 };
        seen.as_ref().map_err(Clone::clone)
    }
}

/// The addresses of one family; none where this kernel has no such family.
fn dump(kernel: &mut Kernel, ipv4: bool) -> Result<Seen<Address>, Unanswered> {
    match kernel.addresses_seen(ipv4, None) {
        Err(RtnlError::Refused(Errno::OPNOTSUPP | Errno::AFNOSUPPORT)) => {
            Ok(Seen { found: Vec::new(), complete: true })
        }
        answer => answer.map_err(|error| error.to_string()),
    }
}
