//! With which address IPA has started, once its lookup has passed: its certificate is made for it, and a restart would cost
//! the token. The decision does not move away from it while it is assigned here.

use std::net::IpAddr;

use callback_url::{Host, same_to_ironic};
use tokio::sync::watch;

use crate::kept::{Contents, DropinWrite, Kept, StartedWith};
use crate::params::IpaSettings;
use crate::pin::Pin;

use super::dropin;
use super::place::{Place, Reads};
use super::status::{IpaProbe, IpaState};

/// The address with which the IPA that runs has started, where that is known. Pure.
///
/// It is known where the drop-in was written before IPA's process started and has not changed until IPA answered: it opens
/// its port only after its lookup (ironic_python_agent/agent.py, `run`), so it has read its configuration by then. What was
/// known of the same process stays known.
pub fn started_with(kept: &Contents, ipa: &IpaState) -> Option<StartedWith> {
    let id = ipa.process?;
    if let Some(known) = kept.started_with.as_ref().filter(|known| known.ipa == id) {
        return Some(known.clone());
    }
    let dropin = kept.dropin.as_ref().filter(|dropin| ipa.up && dropin.written <= id.started())?;
    Some(StartedWith { ipa: id, address: dropin.address.clone() })
}

/// The same from what Ironic holds: an IPA that answers has sent that URL itself, unless the guard repaired it. It counts
/// where it is what the drop-in gives, whenever that was written. Pure.
pub fn by_read_back(
    url: &str,
    dropin: Option<&Host>,
    kept: &Contents,
    ipa: &IpaState,
) -> Option<StartedWith> {
    let id = ipa.process.filter(|_| ipa.up)?;
    let is_repaired = kept.repaired.as_ref().is_some_and(|repaired| same_to_ironic(&repaired.url, url));
    let address = callback_url::host(url).filter(|host| !is_repaired && Some(host) == dropin)?;
    Some(StartedWith { ipa: id, address })
}

/// Takes what a read-back has shown.
pub fn equals(known: StartedWith, kept: &Kept, pin: &Pin) {
    pin.commit(ip(&known.address));
    kept.update(|contents| {
        if contents.started_with.as_ref() != Some(&known) {
            log(&known);
            contents.started_with = Some(known);
        }
    });
}

/// Judges one look at IPA, keeps what came of it, and gives it to the decision. An IPA that does not read the drop-in has
/// started with what it chose itself.
fn judge(kept: &Kept, ipa: &IpaState, reads: Reads, pin: &Pin) {
    let started_with = |contents: &Contents| started_with(contents, ipa).filter(|_| reads != Reads::No);
    kept.update(|contents| {
        let known = started_with(contents);
        if let Some(known) = known.as_ref().filter(|known| contents.started_with.as_ref() != Some(known)) {
            log(known);
        }
        if ipa.process.is_some() {
            contents.started_with = known;
        }
        if let Some(id) = ipa.process.filter(|_| ipa.up) {
            contents.token_spent = Some(id);
        }
    });
    let known = started_with(&kept.read());
    pin.commit(known.and_then(|known| ip(&known.address)));
}

fn ip(address: &Host) -> Option<IpAddr> {
    match address {
        Host::Ip(ip) => Some(*ip),
        Host::Name(_) => None, // The operator's; it goes before everything.
    }
}

fn log(known: &StartedWith) {
    tracing::info!(pid = known.ipa.pid, address = known.address.bare(), "IPA runs with this address");
}

/// What is known of an IPA that was there before the daemon, ahead of the first decision. A drop-in that is no longer on disk as we
/// wrote it counts for nothing.
pub async fn begin(settings: &IpaSettings, place: &Place, kept: &Kept, pin: &Pin) -> IpaState {
    let directory = &place.directory;
    let says_so = |dropin: &DropinWrite| dropin::says(directory, &dropin.address);
    kept.update(|contents| contents.dropin = contents.dropin.take().filter(says_so));
    let ipa = match IpaProbe::of(settings) {
        Ok(probe) => probe.look(None).await,
        Err(_) => IpaState::default(), // The task that looks again and again says so.
    };
    judge(kept, &ipa, place.reads_it, pin);
    ipa
}

/// Judges every look at IPA.
pub async fn follow(mut ipa: watch::Receiver<IpaState>, place: watch::Receiver<Place>, kept: Kept, pin: Pin) {
    while ipa.changed().await.is_ok() {
        let ipa = ipa.borrow_and_update().clone();
        let reads = place.borrow().reads_it;
        judge(&kept, &ipa, reads, &pin);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::kept::{IpaId, Repaired};

    use super::*;

    const IPA: IpaId = IpaId { pid: 7, start_ticks: 1000 };

    fn kept_dropin(written: Duration) -> Contents {
        let dropin = DropinWrite { address: Host::parse("192.0.2.1").unwrap(), written };
        Contents { dropin: Some(dropin), ..Contents::default() }
    }

    fn state(up: bool, process: Option<IpaId>) -> IpaState {
        IpaState { up, version: None, process }
    }

    #[test]
    fn it_is_known_where_ipa_answers_and_started_after_the_write() {
        let before = kept_dropin(Duration::from_millis(10_000));
        let known = started_with(&before, &state(true, Some(IPA))).unwrap();
        assert_eq!((known.ipa, known.address), (IPA, Host::parse("192.0.2.1").unwrap()));
        assert_eq!(started_with(&before, &state(false, Some(IPA))), None, "inside its lookup");
        assert_eq!(started_with(&before, &state(true, None)), None, "nobody knows since when it runs");
        let after = kept_dropin(Duration::from_millis(10_001));
        assert_eq!(started_with(&after, &state(true, Some(IPA))), None, "it may have read another");
        assert_eq!(started_with(&Contents::default(), &state(true, Some(IPA))), None, "unknown");
    }

    #[test]
    fn what_ironic_holds_counts_where_it_is_what_the_drop_in_gives() {
        let dropin = Host::parse("192.0.2.1");
        let url = "http://192.0.2.1:9999";
        let answers = state(true, Some(IPA));
        let by = |url: &str, kept: &Contents, ipa: &IpaState| by_read_back(url, dropin.as_ref(), kept, ipa);
        let none = Contents::default();
        let known = StartedWith { ipa: IPA, address: dropin.clone().unwrap() };
        assert_eq!(by(url, &none, &answers), Some(known));
        assert_eq!(by("http://192.0.2.2:9999", &none, &answers), None, "it chose for itself");
        assert_eq!(by("http://192.0.2.1 uid 0:9999", &none, &answers), None);
        assert_eq!(by(url, &none, &state(true, None)), None);
        assert_eq!(by(url, &none, &state(false, Some(IPA))), None, "the URL may be an earlier IPA's");
        let repaired = Repaired {
            node_uuid: "node".to_owned(),
            url: url.to_owned(),
            instead_of: "http://192.0.2.2:9999".to_owned(),
            endpoints: Vec::new(),
        };
        let repaired = Contents { repaired: Some(repaired), ..none };
        assert_eq!(by(url, &repaired, &answers), None, "the guard put it there");
        assert_eq!(by_read_back(url, None, &Contents::default(), &answers), None);
    }

    #[test]
    fn what_is_known_of_a_process_stays_known_and_ends_with_it() {
        let mut contents = kept_dropin(Duration::from_secs(1));
        contents.started_with = started_with(&contents, &state(true, Some(IPA)));
        let known = contents.started_with.clone();
        // The drop-in changes afterwards, and IPA does not answer for a moment.
        contents.dropin = kept_dropin(Duration::from_secs(99)).dropin;
        assert_eq!(started_with(&contents, &state(false, Some(IPA))), known);
        let restarted = IpaId { start_ticks: 2000, ..IPA };
        assert_eq!(started_with(&contents, &state(true, Some(restarted))), None);
        assert_eq!(started_with(&contents, &state(true, None)), None);
    }

    #[test]
    fn an_ipa_that_does_not_read_the_drop_in_has_not_started_with_it() {
        let directory = testbed::site::Directory::new("commitment");
        let metrics = crate::metrics::Metrics::new().unwrap();
        let pin = Pin::new(crate::exchange::Exchanges::new(metrics.clone()), metrics);
        for (reads, expected) in [(Reads::No, false), (Reads::Unknown, true), (Reads::Yes, true)] {
            let kept = Kept::open(directory.path());
            kept.update(|contents| *contents = kept_dropin(Duration::from_secs(1)));
            judge(&kept, &state(true, Some(IPA)), reads, &pin);
            assert_eq!(kept.read().started_with.is_some(), expected, "{reads:?}");
            assert_eq!(kept.read().token_spent, Some(IPA), "whatever it reads, its lookup has passed");
        }
    }
}
