//! What the watch keeps of the kernel's answers between two rounds. The kernel's announcements keep it true; where they
//! leave something open, and from time to time, it is asked for anew.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use fib::{Errno, Heard, Kernel, Link, RtnlError};

use super::assigned::{Assigned, Unanswered};

/// Nothing is kept longer, whatever was announced.
const LIFETIME: Duration = Duration::from_secs(30);

/// Addresses and devices.
#[derive(Debug, Default)]
pub struct Known {
    pub(super) assigned: Assigned,
    links: HashMap<u32, Option<Link>>,
    since: Option<Instant>,
}

impl Known {
    /// Takes what the kernel announced.
    pub(super) fn heard(&mut self, heard: &Heard) {
        if heard.leaves_open() {
            self.forget();
        } else {
            self.assigned.changed(&heard.addresses);
        }
    }

    /// Everything is asked for in the next round.
    pub(super) fn forget(&mut self) {
        self.assigned.forget();
        self.links.clear();
        self.since = None;
    }

    /// A round begins.
    pub(super) fn begin(&mut self, kernel: &mut Kernel) {
        if self.since.is_some_and(|since| since.elapsed() >= LIFETIME) {
            self.forget();
        }
        self.since.get_or_insert_with(Instant::now);
        // As with addresses, only good news is believed: the others are asked about in each round.
        self.links.retain(|_, link| link.as_ref().is_some_and(|link| link.up && link.carrier));
        self.assigned.begin(kernel);
    }

    /// The device with this index; none where it has just gone.
    pub(super) fn link(&mut self, kernel: &mut Kernel, index: u32) -> Result<Option<Link>, Unanswered> {
        if let Some(link) = self.links.get(&index) {
            return Ok(link.clone());
        }
        let link = match kernel.link(index) {
            Ok(link) => Some(link),
            Err(RtnlError::Refused(Errno::NODEV)) => None,
            Err(error) => return Err(error.to_string()),
        };
        self.links.insert(index, link.clone());
        Ok(link)
    }
}
