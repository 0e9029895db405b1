//! Restart before the lookup: an IPA that started with an address that is lost now starts again with the new one, as long as
//! no lookup has left it. For modes configure and guard.
//!
//! [`judge`] (pure) decides, `follow` does it: IPA's process is stopped, sight reads everything that came before, and only
//! then it is known whether a lookup left. A stopped process is ended where it stands, so none leaves afterwards.

mod follow;
mod stop;
mod systemd;

pub use follow::{Restarter, Surroundings};

use std::net::IpAddr;
use std::time::Duration;

use callback_url::Host;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::kept::{Contents, IpaId};
use crate::metrics::RestartResult;

use super::status::IpaState;

/// Sight that takes longer to read what lies before it has lost something.
const DRAIN: Duration = Duration::from_secs(2);

/// What sight knows of one IPA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SightRecord {
    /// It was attached before this IPA started, and is so still.
    pub attached_before_ipa: bool,
    /// Something of that time is lost.
    pub lost: bool,
    /// A lookup request was seen.
    pub lookup_seen: bool,
}

impl SightRecord {
    /// There is no sight.
    pub const NOT_ATTACHED: Self = Self { attached_before_ipa: false, lost: false, lookup_seen: false };
}

/// A question to sight: it reads everything that the kernel has for it, then answers.
#[derive(Debug)]
pub struct Drain {
    /// The IPA that is asked about.
    pub ipa: IpaId,
    /// What sight knows of it, once everything is read.
    pub answer: oneshot::Sender<SightRecord>,
}

/// Asks sight; without one, there was none.
async fn drained(sight: Option<&mpsc::Sender<Drain>>, ipa: IpaId) -> SightRecord {
    let Some(sight) = sight else {
        return SightRecord::NOT_ATTACHED;
    };
    let (answer, answered) = oneshot::channel();
    let asked = async {
        sight.send(Drain { ipa, answer }).await.ok()?;
        answered.await.ok()
    };
    match timeout(DRAIN, asked).await {
        Ok(record) => record.unwrap_or(SightRecord::NOT_ATTACHED),
        Err(_) => SightRecord { attached_before_ipa: true, lost: true, lookup_seen: false },
    }
}

/// What is known of an IPA.
#[derive(Debug, Clone, Copy)]
pub struct RestartFacts<'a> {
    /// What the drop-in gave when it started; `None`: nothing, or unknown.
    pub started_with: Option<IpAddr>,
    /// The addresses that are assigned here; `None` where they are not known.
    pub assigned: Option<&'a [IpAddr]>,
    /// What the drop-in on disk gives.
    pub dropin: Option<IpAddr>,
    /// It is known to have its token.
    pub token_spent: bool,
    /// Something listens on its port.
    pub listens: bool,
    /// What sight knows of it.
    pub sight: SightRecord,
    /// Its process is stopped, and sight has read everything since.
    pub stopped: bool,
}

/// What to do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Its address is still here, or nobody could give it another one.
    NotNeeded,
    /// Stop it, and judge again.
    Stop,
    /// Restart it.
    Restart,
    /// Let it be, for this reason.
    Leave(RestartResult),
}

/// Decides. Never for a better route: only the loss of the address counts. Never without sight.
pub fn judge(facts: &RestartFacts<'_>) -> Verdict {
    let (Some(started_with), Some(assigned)) = (facts.started_with, facts.assigned) else {
        return Verdict::NotNeeded;
    };
    let is_lost = !assigned.contains(&started_with);
    let has_another = facts.dropin.is_some_and(|dropin| dropin != started_with);
    if !is_lost || !has_another || facts.token_spent {
        return Verdict::NotNeeded;
    }
    match facts.sight {
        SightRecord { attached_before_ipa: false, .. } => Verdict::Leave(RestartResult::NotAttached),
        SightRecord { lost: true, .. } => Verdict::Leave(RestartResult::EventsLost),
        SightRecord { lookup_seen: true, .. } => Verdict::Leave(RestartResult::LookupSeen),
        _ if facts.listens => Verdict::Leave(RestartResult::Listening),
        _ if !facts.stopped => Verdict::Stop,
        _ => Verdict::Restart,
    }
}

/// What the drop-in gave when this IPA started. Pure.
fn given_at_start(kept: &Contents, ipa: IpaId) -> Option<IpAddr> {
    let before = kept.dropins.iter().rev().find(|change| change.at <= ipa.started())?;
    match before.address {
        Some(Host::Ip(ip)) => Some(ip),
        _ => None, // The operator's name is never lost.
    }
}

/// Whether this IPA has its token, by what was kept.
fn is_spent(kept: &Contents, ipa: &IpaState) -> bool {
    ipa.up || (ipa.process.is_some() && kept.token_spent == ipa.process)
}

#[cfg(test)]
mod tests {
    use crate::kept::DropinChange;

    use super::*;

    const IPA: IpaId = IpaId { pid: 7, start_ticks: 1000 };
    const SEEN: SightRecord = SightRecord { attached_before_ipa: true, lost: false, lookup_seen: false };

    fn ip(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn facts(assigned: &[IpAddr]) -> RestartFacts<'_> {
        RestartFacts {
            started_with: Some(ip(1)),
            assigned: Some(assigned),
            dropin: Some(ip(2)),
            token_spent: false,
            listens: false,
            sight: SEEN,
            stopped: true,
        }
    }

    #[test]
    fn only_a_lost_address_is_a_reason_and_only_with_another_one() {
        let here = [ip(2)];
        let needed = facts(&here);
        assert_eq!(judge(&needed), Verdict::Restart);
        assert_eq!(judge(&RestartFacts { stopped: false, ..needed }), Verdict::Stop);
        let both = [ip(1), ip(2)];
        assert_eq!(judge(&facts(&both)), Verdict::NotNeeded, "a better route");
        for not_needed in [
            RestartFacts { assigned: None, ..needed },
            RestartFacts { started_with: None, ..needed },
            RestartFacts { dropin: None, ..needed },
            RestartFacts { dropin: Some(ip(1)), ..needed },
            RestartFacts { token_spent: true, ..needed },
        ] {
            assert_eq!(judge(&not_needed), Verdict::NotNeeded, "{not_needed:?}");
        }
    }

    #[test]
    fn it_is_let_be_unless_it_is_certain_that_no_lookup_has_left() {
        let here = [ip(2)];
        let leave = |sight, listens, result| {
            for stopped in [false, true] {
                let facts = RestartFacts { sight, listens, stopped, ..facts(&here) };
                assert_eq!(judge(&facts), Verdict::Leave(result));
            }
        };
        leave(SightRecord::NOT_ATTACHED, false, RestartResult::NotAttached);
        leave(SightRecord { lost: true, ..SEEN }, false, RestartResult::EventsLost);
        leave(SightRecord { lookup_seen: true, ..SEEN }, false, RestartResult::LookupSeen);
        leave(SEEN, true, RestartResult::Listening);
    }

    #[test]
    fn what_the_drop_in_gave_at_the_start_is_known() {
        let change = |seconds, address: Option<&str>| DropinChange {
            address: address.and_then(Host::parse),
            at: Duration::from_secs(seconds),
        };
        let given = |dropins: Vec<DropinChange>| {
            given_at_start(&Contents { dropins, ..Contents::default() }, IPA) // It started after 10 s.
        };
        assert_eq!(given(vec![]), None);
        assert_eq!(given(vec![change(3, Some("192.0.2.1")), change(11, Some("192.0.2.2"))]), Some(ip(1)));
        assert_eq!(given(vec![change(3, Some("192.0.2.1")), change(4, None)]), None);
        assert_eq!(given(vec![change(3, Some("ironic.example"))]), None);
        assert_eq!(given(vec![change(11, Some("192.0.2.1"))]), None);
    }

    #[tokio::test]
    async fn without_an_answer_of_sight_nothing_is_certain() {
        assert_eq!(drained(None, IPA).await, SightRecord::NOT_ATTACHED);
        let (sight, mut asked) = mpsc::channel(1);
        let answering = async {
            let Drain { ipa, answer } = asked.recv().await.unwrap();
            assert_eq!(ipa, IPA);
            answer.send(SEEN).unwrap();
        };
        let (record, ()) = tokio::join!(drained(Some(&sight), IPA), answering);
        assert_eq!(record, SEEN);
        drop(asked);
        assert_eq!(drained(Some(&sight), IPA).await, SightRecord::NOT_ATTACHED);
    }
}
