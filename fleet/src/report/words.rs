//! The last words of nodes: the newest report of each, bounded in number and bytes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::moment::Moment;

/// So many nodes are remembered.
const NODES: usize = 1000;
/// So many bytes of reports: a quarter of what the whole program may take.
const BYTES: usize = 16 << 20;
/// So many other addresses are remembered for a node, the newest: one of them may be the node's own.
const OTHERS: usize = 4;

/// One report.
#[derive(Debug, Clone)]
pub struct Report {
    /// Where it came from.
    pub from: IpAddr,
    /// When it came, by this machine's clock.
    pub at: Moment,
    /// When it came, for how long ago that is.
    pub since: Instant,
    /// What it says: JSON without tokens.
    pub text: Box<str>,
}

/// What is known of one node. What came from elsewhere does not hide what came from the node's own address.
#[derive(Debug, Clone, Default)]
pub struct Words {
    /// The newest from the address in its `agent_url`, or the one that should stand there.
    pub own: Option<Report>,
    /// The newest from each other address, the newest last: a node behind NAT, one whose URL is bad, or a lie.
    pub unverified: Vec<Report>,
}

impl Words {
    fn bytes(&self) -> usize {
        self.own.iter().chain(&self.unverified).map(|report| report.text.len()).sum()
    }

    fn keep(&mut self, is_own: bool, report: Report) {
        if is_own {
            self.own = Some(report);
            return;
        }
        self.unverified.retain(|known| known.from != report.from);
        self.unverified.push(report);
        if self.unverified.len() > OTHERS {
            self.unverified.remove(0);
        }
    }
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub struct LastWords {
    nodes: BTreeMap<String, Words>,
    bytes: usize,
}

impl LastWords {
    /// What a node said.
    pub fn of(&self, uuid: &str) -> Option<&Words> {
        self.nodes.get(uuid)
    }

    /// The nodes that were heard within this time, each from its own address.
    pub fn heard_lately(&self, time: Duration) -> impl Iterator<Item = &str> {
        self.nodes.keys().map(String::as_str).filter(move |uuid| self.heard_within(uuid, time))
    }

    /// Whether a node itself was heard within this time.
    pub(super) fn heard_within(&self, uuid: &str, time: Duration) -> bool {
        self.of(uuid)
            .and_then(|words| words.own.as_ref())
            .is_some_and(|report| report.since.elapsed() <= time)
    }

    /// Keeps a report of a node. Where there is no room the oldest go, those of other addresses first.
    pub fn keep(&mut self, uuid: &str, is_own: bool, report: Report) {
        let words = self.nodes.entry(uuid.to_owned()).or_default();
        self.bytes -= words.bytes();
        words.keep(is_own, report);
        self.bytes += words.bytes();
        while (self.bytes > BYTES || self.nodes.len() > NODES) && self.drop_oldest() {}
    }

    fn drop_oldest(&mut self) -> bool {
        let oldest = |pick: fn(&Words) -> Option<&Report>| {
            let all = self.nodes.iter().filter_map(|(uuid, words)| Some((pick(words)?.since, uuid)));
            all.min().map(|(_, uuid)| uuid.clone())
        };
        let (uuid, is_own) = match oldest(|words| words.unverified.first()) {
            Some(uuid) => (uuid, false),
            None => match oldest(|words| words.own.as_ref()) {
                Some(uuid) => (uuid, true),
                None => return false,
            },
        };
        let Some(words) = self.nodes.get_mut(&uuid) else { return false };
        self.bytes -= words.bytes();
        if is_own {
            words.own = None;
        } else {
            words.unverified.remove(0);
        }
        self.bytes += words.bytes();
        if words.own.is_none() && words.unverified.is_empty() {
            self.nodes.remove(&uuid);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(length: usize, since: Instant) -> Report {
        let (from, at) = ("192.0.2.1".parse().unwrap(), Moment::from_seconds(0));
        Report { from, at, since, text: "x".repeat(length).into() }
    }

    #[test]
    fn what_others_say_hides_nothing_and_goes_first() {
        let (mut all, begin) = (LastWords::default(), Instant::now());
        let after = |seconds| begin + Duration::from_secs(seconds);
        all.keep("node", true, report(10, begin));
        all.keep("node", false, report(20, after(1)));
        let lengths = |all: &LastWords| {
            let words = all.of("node").unwrap();
            let length = |report: &Report| report.text.len();
            (words.own.as_ref().map(length), words.unverified.iter().map(length).collect::<Vec<_>>())
        };
        assert_eq!(lengths(&all), (Some(10), vec![20]));
        // Another host names every node, with the largest reports that there are.
        for node in 0..3000 {
            all.keep(&format!("n{node}"), false, report(64 << 10, after(2)));
            assert!(all.bytes <= BYTES && all.nodes.len() <= NODES, "{} {}", all.bytes, all.nodes.len());
        }
        assert_eq!(lengths(&all), (Some(10), vec![]));
        all.keep("node", true, report(30, after(3)));
        assert_eq!(lengths(&all), (Some(30), vec![]));
        assert_eq!(all.bytes, all.nodes.values().map(Words::bytes).sum::<usize>());
    }

    #[test]
    fn one_address_does_not_hide_what_another_reported() {
        let (mut all, begin) = (LastWords::default(), Instant::now());
        let from = |last| IpAddr::from([192, 0, 2, last]);
        for (last, length) in [(1, 10), (2, 20), (1, 11), (3, 30), (4, 40), (2, 21)] {
            all.keep("node", false, Report { from: from(last), ..report(length, begin) });
        }
        let lengths = |all: &LastWords| {
            all.of("node").unwrap().unverified.iter().map(|report| report.text.len()).collect::<Vec<_>>()
        };
        assert_eq!(lengths(&all), [11, 30, 40, 21]);
        all.keep("node", false, Report { from: from(5), ..report(50, begin) });
        assert_eq!(lengths(&all), [30, 40, 21, 50]);
        assert_eq!(all.bytes, 141);
    }

    #[test]
    fn a_thousand_nodes_are_remembered_the_newest() {
        let (mut all, begin) = (LastWords::default(), Instant::now());
        for node in 0..1500 {
            all.keep(&format!("n{node}"), true, report(9000, begin + Duration::from_millis(node)));
        }
        assert_eq!(all.nodes.len(), NODES);
        assert!(all.of("n499").is_none() && all.of("n500").is_some());
        assert!(all.heard_within("n1499", Duration::from_secs(120)));
        assert!(!all.heard_within("n1", Duration::from_secs(120)));
    }
}
