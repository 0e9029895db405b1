//! When to read back. Pure.

use std::time::Duration;

/// Ironic's conductor records a heartbeat after it was answered (ironic, `conductor/manager.py`, `heartbeat`, spawns a
/// worker): before this pause nothing may be there to read back.
const AFTER_HEARTBEAT: Duration = Duration::from_secs(1);
/// An IPA opens its port and heartbeats at once (ironic_python_agent/agent.py, `run`); a refused heartbeat comes again
/// after 5 to 10 s. Where nobody sees heartbeats, Ironic has the URL by then.
const AFTER_ANSWER: Duration = Duration::from_secs(20);
/// The least time between two, once Ironic has shown a URL.
const GAP: Duration = Duration::from_secs(3600);

/// What is known of the IPA that runs now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts {
    /// How long it has answered on its port, without a break.
    pub up: Option<Duration>,
    /// How long ago Ironic accepted a heartbeat of its, where that was after the last read-back.
    pub accepted: Option<Duration>,
    /// Ironic refuses its token.
    pub token_refused: bool,
    /// The last read-back of it.
    pub last: Option<Last>,
}

/// A read-back that had an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Last {
    /// How long ago.
    pub ago: Duration,
    /// Ironic held a URL.
    pub url: bool,
    /// A heartbeat had been accepted by then.
    pub after_heartbeat: bool,
}

/// How long to wait before the next one; `None`: until something else happens.
///
/// An IPA that answers on its port has its token: a lookup takes nothing from it. Once its token is refused, Ironic may
/// have wiped it, and the next lookup would take the new one.
pub fn due(facts: &Facts) -> Option<Duration> {
    let up = facts.up.filter(|_| !facts.token_refused)?;
    let soon = facts.accepted.map(|ago| AFTER_HEARTBEAT.saturating_sub(ago));
    match facts.last {
        None => Some(soon.unwrap_or(AFTER_ANSWER.saturating_sub(up))),
        Some(last) if !last.url && !last.after_heartbeat => soon,
        Some(last) => soon.map(|soon| soon.max(GAP.saturating_sub(last.ago))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn never_before_the_token_is_known_to_be_spent() {
        assert_eq!(due(&Facts::default()), None);
        assert_eq!(due(&Facts { token_refused: true, up: Some(seconds(99)), ..Facts::default() }), None);
        assert_eq!(due(&Facts { accepted: Some(seconds(7)), ..Facts::default() }), None);
    }

    #[test]
    fn the_first_comes_after_a_heartbeat_or_where_ipa_has_answered_for_a_while() {
        let up = |up| Facts { up: Some(seconds(up)), ..Facts::default() };
        assert_eq!(due(&up(0)), Some(seconds(20)));
        assert_eq!(due(&up(500)), Some(Duration::ZERO));
        assert_eq!(due(&Facts { accepted: Some(Duration::ZERO), ..up(0) }), Some(seconds(1)));
        assert_eq!(due(&Facts { accepted: Some(seconds(7)), ..up(0) }), Some(Duration::ZERO));
    }

    #[test]
    fn the_next_comes_after_an_accepted_heartbeat_only_and_once_an_hour() {
        let last = Last { ago: seconds(600), url: true, after_heartbeat: false };
        let facts = |accepted: Option<u64>, last| Facts {
            up: Some(seconds(900)),
            accepted: accepted.map(seconds),
            last: Some(last),
            ..Facts::default()
        };
        assert_eq!(due(&facts(None, last)), None);
        assert_eq!(due(&facts(Some(0), last)), Some(seconds(3000)));
        assert_eq!(due(&facts(Some(0), Last { ago: seconds(9000), ..last })), Some(seconds(1)));
        // It came too early: there was no URL yet.
        let early = Last { url: false, ..last };
        assert_eq!(due(&facts(None, early)), None);
        assert_eq!(due(&facts(Some(0), early)), Some(seconds(1)));
        // Ironic records nothing: no lookup after each heartbeat.
        let unrecorded = Last { after_heartbeat: true, ..early };
        assert_eq!(due(&facts(Some(0), unrecorded)), Some(seconds(3000)));
    }
}
