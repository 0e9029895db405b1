//! The part of a node that is kept from one poll to the next: ten thousand of them are to take a few MiB.

use std::net::IpAddr;
use std::time::Duration;

use callback_url::{Host, Reason, Verdict};

use crate::moment::Moment;
use crate::ramdisks::Ramdisk;
use crate::states::{self, State};
use crate::subject::Subject;
use text::labels;

/// The most characters of a name or a URL that are kept: Ironic's names have at most 255.
const TEXT: usize = 256;
/// Ironic itself gives up on a heartbeat that is older (`[api]ramdisk_heartbeat_timeout`, 300 s).
const RECENT: Duration = Duration::from_secs(300);

labels! {
    /// Whether the ramdisk of a node was heard: label `heard` of `ipa_fleet_waiting_nodes`.
    pub enum Heard {
        /// It has not called back.
        Never = "never",
        /// Within the last 5 minutes.
        Recently = "recently",
        /// Not within the last 5 minutes.
        Late = "late",
    }
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its UUID as a number; see [`uuid`].
    pub key: u128,
    /// Its name, where it has one.
    pub name: Option<Box<str>>,
    /// Its provision state: one that is known, or `other`.
    pub state: &'static str,
    /// The URL that Ironic holds, cut.
    pub agent_url: Option<Box<str>>,
    /// The last URL that was seen: Ironic forgets it as it gives up.
    pub last_url: Option<Box<str>>,
    /// What is wrong with the URL that Ironic holds, worst first.
    pub reasons: Box<[Reason]>,
    /// The URL that would be right, where it is known.
    pub suggestion: Option<Box<str>>,
    /// When its agent was last heard.
    pub last_heartbeat: Option<Moment>,
    /// When its state changed last.
    pub changed_at: Option<Moment>,
    /// Ironic knows that its power is on.
    pub powered_on: bool,
    /// The change of state whose history is asked for, or was.
    pub asked_for: Option<Moment>,
}

impl Kept {
    /// Keeps what counts; `before` is the same node at the last poll.
    pub fn of(subject: &Subject, key: u128, powered_on: bool, before: Option<&Self>) -> Self {
        let agent_url = subject.agent_url.as_deref().map(short);
        let last_url = agent_url.clone().or_else(|| before.and_then(|before| before.last_url.clone()));
        Self {
            key,
            name: subject.name.as_deref().map(short),
            state: states::label(&subject.provision_state),
            last_url,
            reasons: subject.reasons.clone().into_boxed_slice(),
            suggestion: subject.suggestion.as_deref().map(short),
            last_heartbeat: subject.last_heartbeat,
            changed_at: subject.changed_at,
            powered_on,
            asked_for: before.and_then(|before| before.asked_for),
            agent_url,
        }
    }

    /// Its UUID.
    pub fn uuid(&self) -> String {
        uuid(self.key)
    }

    /// What people call it.
    pub fn title(&self) -> String {
        self.name.as_deref().map_or_else(|| self.uuid(), str::to_owned)
    }

    /// Whether its agent URL cannot work.
    pub fn is_bad(&self) -> bool {
        !self.reasons.is_empty()
    }

    /// The judgement of its agent URL, where it has one.
    pub fn verdict(&self) -> Option<Verdict> {
        let verdict = if self.is_bad() { Verdict::Bad } else { Verdict::Good };
        self.agent_url.as_ref().map(|_| verdict)
    }

    /// Whether a ramdisk runs or is awaited in its state; with fast track also where one runs that is not needed now.
    pub fn is_live(&self) -> bool {
        is_in(&states::LIVE, self.state)
            || (self.agent_url.is_some() && is_in(&states::FAST_TRACK, self.state))
    }

    /// Whether Ironic has given up on it.
    pub fn has_failed(&self) -> bool {
        states::is_failed(self.state)
    }

    /// Whether its ramdisk was heard. A heartbeat without a URL is one of an earlier ramdisk.
    pub fn heard(&self, now: Moment) -> Heard {
        match (&self.agent_url, self.last_heartbeat) {
            (Some(_), Some(at)) if at.until(now) <= RECENT => Heard::Recently,
            (Some(_), _) => Heard::Late,
            (None, _) => Heard::Never,
        }
    }

    /// The address in its agent URL, where that is one.
    pub fn claimed(&self) -> Option<IpAddr> {
        literal(self.agent_url.as_deref()?)
    }

    /// The address that it should have there, where that is known.
    pub fn suggested(&self) -> Option<IpAddr> {
        literal(self.suggestion.as_deref()?)
    }

    /// What the relay and the reports need.
    pub fn ramdisk(&self) -> Ramdisk {
        let (claimed, suggested) = (self.claimed(), self.suggested());
        Ramdisk { uuid: self.uuid(), claimed, suggested }
    }
}

/// Whether a state is one of these.
pub fn is_in(states: &[State], name: &str) -> bool {
    states.iter().any(|state| state.name == name)
}

/// The UUID that a number stands for (RFC 9562, 4).
pub fn uuid(key: u128) -> String {
    let text = format!("{key:032x}");
    let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
    [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-")
}

/// The address in a URL, where its host is one.
pub fn literal(url: &str) -> Option<IpAddr> {
    match callback_url::host(url) {
        Some(Host::Ip(ip)) => Some(ip.to_canonical()),
        _ => None,
    }
}

fn short(text: &str) -> Box<str> {
    match text.char_indices().nth(TEXT) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()).into(),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Node;
    use crate::poll::key;

    const UUID: &str = "0080db96-a8d4-4a05-9443-41b0855f1ec3";

    fn kept(agent_url: Option<&str>, before: Option<&Kept>) -> Kept {
        let node = Node {
            uuid: UUID.to_owned(),
            provision_state: "clean wait".to_owned(),
            agent_url: agent_url.map(str::to_owned),
            last_heartbeat: Some(Moment::from_seconds(1000)),
            ..Node::default()
        };
        Kept::of(&Subject::of(node), key(UUID), true, before)
    }

    #[test]
    fn the_last_url_outlives_the_one_that_ironic_holds() {
        let first = kept(Some("http://10.0.0.1%20uid%200:9999"), None);
        assert_eq!((first.claimed(), first.suggested()), (None, "10.0.0.1".parse().ok()));
        let second = kept(None, Some(&first));
        assert_eq!((&second.agent_url, &second.last_url), (&None, &first.agent_url));
        assert_eq!(second.uuid(), UUID);
        assert_eq!(kept(Some("http://[::ffff:10.0.0.1]:9999"), None).claimed(), "10.0.0.1".parse().ok());
        assert!(kept(Some(&"x".repeat(1 << 20)), None).agent_url.unwrap().len() < 300);
    }

    #[test]
    fn a_heartbeat_without_a_url_is_of_an_earlier_ramdisk() {
        let at = Moment::from_seconds;
        assert_eq!(kept(None, None).heard(at(1001)), Heard::Never);
        let heard = kept(Some("http://10.0.0.1:9999"), None);
        assert_eq!((heard.heard(at(1300)), heard.heard(at(1301))), (Heard::Recently, Heard::Late));
    }
}
