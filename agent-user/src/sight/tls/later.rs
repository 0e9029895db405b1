//! IPA in a container: its libssl is known once it runs, and to look into its root wants privileges. One thread keeps them
//! until then; nothing else of the daemon has any.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::find;
use super::report::Report;
use crate::ipa::process;
use crate::probes::{Reason, Unavailable};

/// How often it is looked for: its first request comes seconds after its start.
const PACE: Duration = Duration::from_millis(250);
/// An IPA that has mapped no libssl by then uses none.
const PATIENCE: Duration = Duration::from_secs(600);

/// Where the thread gives its answer.
#[derive(Debug)]
pub struct Later {
    wait: Duration,
    answer: oneshot::Sender<Report>,
}

impl Later {
    /// An IPA is waited for this long (`--advertise.wait`).
    pub fn new(wait: Duration) -> (Self, oneshot::Receiver<Report>) {
        let (answer, answered) = oneshot::channel();
        (Self { wait, answer }, answered)
    }

    /// Has the libssl of the IPA that comes attached to, then ends. Nobody hears of it where the daemon has ended.
    pub(super) fn wait(self, attach: impl FnOnce(find::Library) -> Result<Report, Unavailable>) {
        let found = mapped_by_ipa(self.wait).map_err(|why| Unavailable::new(Reason::NoLibssl, why));
        let report = found.and_then(attach).unwrap_or_else(|why| Report::none(&why));
        let _ = self.answer.send(report);
    }
}

fn mapped_by_ipa(wait: Duration) -> Result<find::Library, &'static str> {
    let (began, mut known, mut first_seen) = (Instant::now(), None, None);
    loop {
        known = process::running(known);
        if let Some(library) = known.and_then(|ipa| find::mapped(ipa.pid)) {
            return Ok(library);
        }
        let first_seen: Option<Instant> = match known {
            Some(_) => Some(*first_seen.get_or_insert_with(Instant::now)),
            None => first_seen,
        };
        match first_seen {
            Some(since) if since.elapsed() > PATIENCE => return Err("IPA has mapped no libssl"),
            None if began.elapsed() > wait => return Err("no IPA came within --advertise.wait"),
            _ => std::thread::sleep(PACE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_has_an_end() {
        if process::running(None).is_none() {
            assert_eq!(mapped_by_ipa(Duration::ZERO), Err("no IPA came within --advertise.wait"));
        }
        assert_eq!(PATIENCE, Duration::from_secs(600), "docs/promises.md");
    }
}
