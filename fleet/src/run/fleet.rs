//! What the poll publishes: all that the pages, the metrics and the targets are made from. Read only.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use text::labels;

use crate::moment::Moment;

use super::kept::Kept;
use super::memory::Recorded;

/// A last good poll that is older tells nothing about now.
const FRESH: Duration = Duration::from_secs(300);

labels! {
    /// Why this program cannot see the fleet: label `why` of `ipa_fleet_blind`.
    pub enum Why {
        /// Not even one node shows.
        NoNode = "no_node",
        /// Fields are hidden.
        Redacted = "redacted",
        /// Ironic does not answer, or refuses the credentials.
        IronicAway = "ironic_away",
        /// A part was not seen.
        Incomplete = "incomplete",
        /// The first poll is not over.
        Starting = "starting",
    }
}

/// That something may be hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blind {
    /// Its kind.
    pub why: Why,
    /// The same for people.
    pub text: String,
}

/// The fleet as it was at the end of a poll.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// The nodes with a ramdisk, those that wait for one, and those that have failed, by UUID.
    pub nodes: BTreeMap<u128, Arc<Kept>>,
    /// The state of every visible node.
    pub states: Arc<HashMap<u128, &'static str>>,
    /// The newest first.
    pub failures: Vec<Arc<Recorded>>,
    /// Why this program is blind; empty where it is not.
    pub blind: Vec<Blind>,
    /// What else is to be said.
    pub notes: Vec<String>,
    /// The moment that it was for Ironic.
    pub now: Moment,
    /// The same moment by this machine's monotonic clock.
    pub at: Instant,
    /// The addresses of Ironic's API.
    pub ironic: Vec<IpAddr>,
    /// The nodes that have reported lately, each from its own address.
    pub reported: HashSet<u128>,
    /// When a poll saw everything.
    pub last_good: Option<Instant>,
}

impl Fleet {
    /// Before the first poll.
    pub fn starting() -> Self {
        let text = "the first poll is not over".to_owned();
        Self {
            nodes: BTreeMap::new(),
            states: Arc::default(),
            failures: Vec::new(),
            blind: vec![Blind { why: Why::Starting, text }],
            notes: Vec::new(),
            now: Moment::of_this_clock(),
            at: Instant::now(),
            ironic: Vec::new(),
            reported: HashSet::new(),
            last_good: None,
        }
    }

    /// Whether something may be hidden.
    pub fn is_blind(&self) -> bool {
        !self.blind.is_empty()
    }

    /// Why nobody may act on it now; nothing where it is whole and young.
    pub fn is_stale(&self) -> Option<String> {
        match (self.blind.first(), self.last_good) {
            (Some(blind), _) => Some(blind.text.clone()),
            (None, Some(at)) if at.elapsed() <= FRESH => None,
            (None, _) => Some("the last good poll is too long ago".to_owned()),
        }
    }

    /// What time it is for Ironic.
    pub fn now(&self) -> Moment {
        self.now.after(self.at.elapsed())
    }

    /// The nodes with a ramdisk, and those that wait for one.
    pub fn live(&self) -> impl Iterator<Item = &Arc<Kept>> {
        self.nodes.values().filter(|node| node.is_live())
    }

    /// The last failure of each node.
    pub fn last_failures(&self) -> HashMap<u128, &Arc<Recorded>> {
        self.failures.iter().rev().map(|failure| (failure.key, failure)).collect()
    }
}
