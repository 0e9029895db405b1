//! The fleet from one poll to the next: which nodes there are, which histories are still to be read, what was found. It
//! asks nobody.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::moment::Moment;
use crate::node::{Event, Node};
use crate::poll::key;
use crate::states::{self, FAILED, FAST_TRACK, LIVE, State};
use crate::subject::Subject;

use super::kept::Kept;
use super::memory::{LONGEST, Memory, Recorded, Whose};

/// So many histories may wait; further nodes wait for a place.
const MOST_WAITING: usize = 2000;
/// The most characters of a `last_error` that waits.
const LAST_ERROR: usize = 1024;

/// What matters more is asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// It failed while this program looked.
    Failed,
    /// It had a ramdisk, and has none any more: it may have failed and been moved on.
    Left,
    /// It failed before ipa-fleet started.
    FailedBefore,
    /// It changed before ipa-fleet started.
    ChangedBefore,
}

/// A history that is to be read.
#[derive(Debug, Clone)]
struct Waiting {
    rank: Rank,
    changed_at: Option<Moment>,
    name: Option<Box<str>>,
    last_url: Option<Box<str>>,
    /// Of a failed node; it stands for the history where Ironic keeps none.
    last_error: Option<Box<str>>,
}

/// The store.
#[derive(Debug)]
pub struct Store {
    /// With `--fast-track` the states of fast track are asked for as well.
    fast_track: bool,
    nodes: BTreeMap<u128, Arc<Kept>>,
    states: Arc<HashMap<u128, &'static str>>,
    waiting: BTreeMap<u128, Waiting>,
    memory: Memory,
    /// Those of `nodes` that the poll has met.
    met: HashSet<u128>,
    /// A poll has seen everything once.
    is_settled: bool,
    /// Fields of a node were hidden.
    pub redacted: bool,
}

impl Store {
    /// An empty one.
    pub fn new(fast_track: bool) -> Self {
        Self {
            fast_track,
            nodes: BTreeMap::new(),
            states: Arc::default(),
            waiting: BTreeMap::new(),
            memory: Memory::default(),
            met: HashSet::new(),
            is_settled: false,
            redacted: false,
        }
    }

    /// The states that are asked for, one by one.
    pub fn polled(&self) -> impl Iterator<Item = &'static State> + use<> {
        let fast_track: &[State] = if self.fast_track { &FAST_TRACK } else { &[] };
        LIVE.iter().chain(&FAILED).chain(fast_track)
    }

    fn is_polled(&self, name: &str) -> bool {
        self.polled().any(|state| state.name == name)
    }

    /// A poll begins.
    pub fn begin(&mut self) {
        self.met.clear();
        self.redacted = false;
    }

    /// A sweep has seen these nodes and no other.
    pub fn sweep(&mut self, all: HashMap<u128, &'static str>) {
        self.nodes.retain(|key, _| all.contains_key(key));
        self.waiting.retain(|key, _| all.contains_key(key));
        self.states = Arc::new(all);
    }

    /// A node in one of the polled states.
    pub fn take(&mut self, node: Node) {
        self.redacted |= node.redacted;
        let (key, powered_on) = (key(&node.uuid), node.powered_on);
        if !self.is_polled(&node.provision_state) {
            return self.leave(key, states::label(&node.provision_state), node.changed_at);
        }
        let mut subject = Subject::of(node);
        let before = self.nodes.get(&key).map(Arc::clone);
        let mut kept = Kept::of(&subject, key, powered_on, before.as_deref());
        let is_news = kept.asked_for.is_none() || kept.asked_for != kept.changed_at;
        let lost_ramdisk =
            before.is_some_and(|before| before.agent_url.is_some()) && kept.agent_url.is_none();
        let rank = match (kept.has_failed(), self.is_settled) {
            (true, true) if is_news => Some(Rank::Failed),
            (true, false) if is_news => Some(Rank::FailedBefore),
            (false, true) if lost_ramdisk => Some(Rank::Left),
            _ => None,
        };
        if let Some(rank) = rank {
            let last_error = subject.last_error.take().filter(|_| kept.has_failed());
            if self.wait(key, rank, &kept, last_error) {
                kept.asked_for = kept.changed_at.or(Some(Moment::from_seconds(0)));
            }
        }
        self.set_state(key, kept.state);
        self.met.insert(key);
        if self.nodes.get(&key).is_none_or(|known| **known != kept) {
            self.nodes.insert(key, Arc::new(kept));
        }
    }

    /// One of the nodes that changed last; `since` then its history is worth reading.
    pub fn take_newest(&mut self, node: Node, now: Moment) {
        let is_young = node.changed_at.is_some_and(|at| at >= now.before(LONGEST));
        if is_young && !self.is_settled && !states::is_failed(&node.provision_state) {
            let subject = Subject::of(node.clone());
            let kept = Kept::of(&subject, key(&node.uuid), node.powered_on, None);
            self.wait(kept.key, Rank::ChangedBefore, &kept, None);
        }
        self.take(node);
    }

    /// A node is in a state that is not polled.
    fn leave(&mut self, key: u128, state: &'static str, changed_at: Option<Moment>) {
        self.set_state(key, state);
        if let Some(kept) = self.nodes.remove(&key) {
            let mut left = Kept::clone(&kept);
            left.changed_at = changed_at.or(left.changed_at);
            if kept.is_live() {
                self.wait(key, Rank::Left, &left, None);
            }
        }
    }

    fn set_state(&mut self, key: u128, state: &'static str) {
        if self.states.get(&key) != Some(&state) {
            Arc::make_mut(&mut self.states).insert(key, state);
        }
    }

    /// Gives whether there was a place.
    fn wait(&mut self, key: u128, rank: Rank, kept: &Kept, last_error: Option<String>) -> bool {
        if self.waiting.len() >= MOST_WAITING && !self.waiting.contains_key(&key) {
            return false;
        }
        let last_error = last_error.map(|text| text.chars().take(LAST_ERROR).collect::<String>().into());
        let (name, last_url) = (kept.name.clone(), kept.last_url.clone());
        let waiting = Waiting { rank, changed_at: kept.changed_at, name, last_url, last_error };
        self.waiting.insert(key, waiting);
        true
    }

    /// The states are asked for; a node of one in `unseen` may still be there.
    pub fn end_states(&mut self, unseen: &[&str]) {
        let gone = |node: &&Arc<Kept>| !self.met.contains(&node.key) && !unseen.contains(&node.state);
        let gone: Vec<u128> = self.nodes.values().filter(gone).map(|node| node.key).collect();
        for key in gone {
            // Its new state is not known before it is met again.
            self.leave(key, states::OTHER, None);
        }
    }

    /// The poll has seen everything.
    pub fn settle(&mut self) {
        self.is_settled = true;
    }

    /// The nodes whose histories are to be read next, at most so many.
    pub fn next(&self, most: usize) -> Vec<u128> {
        let mut order: Vec<_> = self.waiting.iter().collect();
        order.sort_by_key(|(_, waiting)| (waiting.rank, Reverse(waiting.changed_at)));
        order.into_iter().take(most).map(|(key, _)| *key).collect()
    }

    /// How many histories wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The history of a node was read; it is empty where Ironic keeps none. Gives the failures that count.
    pub fn read(
        &mut self,
        key: u128,
        mut events: Vec<Event>,
        now: Moment,
        start: Moment,
    ) -> Vec<Arc<Recorded>> {
        let Some(waiting) = self.waiting.remove(&key) else { return Vec::new() };
        if let (true, Some(at), Some(text)) = (events.is_empty(), waiting.changed_at, &waiting.last_error) {
            events.push(Event { at, text: text.to_string() });
        }
        let whose = Whose { key, name: waiting.name.as_deref(), last_url: waiting.last_url.as_deref() };
        self.memory.read(whose, events, now, start)
    }

    /// A node is gone.
    pub fn forget_node(&mut self, key: u128) {
        self.waiting.remove(&key);
        self.nodes.remove(&key);
        if self.states.contains_key(&key) {
            Arc::make_mut(&mut self.states).remove(&key);
        }
    }

    /// A poll ends.
    pub fn end(&mut self, now: Moment) {
        let states = &self.states;
        self.memory.forget(now, |key| states.contains_key(&key));
    }

    /// The nodes that are in a polled state.
    pub fn nodes(&self) -> BTreeMap<u128, Arc<Kept>> {
        self.nodes.clone()
    }

    /// The state of every visible node.
    pub fn states(&self) -> Arc<HashMap<u128, &'static str>> {
        Arc::clone(&self.states)
    }

    /// The failures, the newest first.
    pub fn failures(&self) -> Vec<Arc<Recorded>> {
        self.memory.newest_first()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://10.0.0.1%20uid%200:9999";

    fn node(number: u32, state: &str, agent_url: Option<&str>, changed: u64) -> Node {
        Node {
            uuid: format!("{number:08x}-a8d4-4a05-9443-41b0855f1ec3"),
            provision_state: state.to_owned(),
            agent_url: agent_url.map(str::to_owned),
            changed_at: Some(at(changed)),
            ..Node::default()
        }
    }

    fn at(seconds: u64) -> Moment {
        Moment::from_seconds(10_000_000 + seconds)
    }

    fn poll(store: &mut Store, nodes: Vec<Node>) {
        store.begin();
        nodes.into_iter().for_each(|node| store.take(node));
        store.end_states(&[]);
        store.settle();
        store.end(at(1000));
    }

    fn timeout(seconds: u64) -> Vec<Event> {
        vec![Event { at: at(seconds), text: "Timeout reached while waiting for callback".to_owned() }]
    }

    #[test]
    fn a_failure_is_asked_for_once_and_knows_the_url_that_was_there() {
        let mut store = Store::new(false);
        poll(&mut store, vec![node(1, "clean wait", Some(URL), 10)]);
        assert_eq!(store.waiting(), 0);
        for _ in 0..2 {
            poll(&mut store, vec![node(1, "clean failed", None, 20)]);
        }
        let [key] = store.next(20)[..] else { panic!("one is to be asked for") };
        let fresh = store.read(key, timeout(20), at(30), at(0));
        assert_eq!(fresh[0].failure.suggestion.as_deref(), Some("http://10.0.0.1:9999"));
        poll(&mut store, vec![node(1, "clean failed", None, 20)]);
        assert_eq!(store.waiting(), 0);
        poll(&mut store, vec![node(1, "clean failed", None, 90)]);
        assert_eq!(store.waiting(), 1, "it has failed again");
    }

    #[test]
    fn a_node_that_was_moved_on_at_once_is_asked_for_as_well() {
        let mut store = Store::new(false);
        let start = vec![node(1, "clean wait", Some(URL), 10), node(2, "clean wait", Some(URL), 10)];
        poll(&mut store, start);
        // One is cleaned again, the other is in a state that nobody asks for.
        poll(&mut store, vec![node(1, "cleaning", None, 20), node(2, "manageable", None, 20)]);
        assert_eq!((store.waiting(), store.nodes().len(), store.states().len()), (2, 1, 2));
        // And one that shows nowhere.
        poll(&mut store, Vec::new());
        assert_eq!(store.states().values().filter(|state| **state == states::OTHER).count(), 1);
    }

    #[test]
    fn a_state_that_was_not_seen_loses_no_node() {
        let mut store = Store::new(false);
        poll(&mut store, vec![node(1, "clean wait", Some(URL), 10)]);
        store.begin();
        store.end_states(&["clean wait"]);
        assert_eq!(store.nodes().len(), 1);
        store.sweep(HashMap::new());
        assert_eq!((store.nodes().len(), store.states().len()), (0, 0));
    }

    #[test]
    fn new_failures_go_before_old_ones_and_the_queue_has_an_end() {
        let mut store = Store::new(false);
        store.begin();
        (0..3000).for_each(|number| store.take(node(number, "clean failed", None, u64::from(number))));
        store.end_states(&[]);
        store.settle();
        assert_eq!(store.waiting(), MOST_WAITING);
        let first = store.next(20);
        assert_eq!(first.len(), 20);
        for key in first {
            store.read(key, timeout(1), at(5000), at(4000));
        }
        let mut nodes: Vec<_> =
            (0..3000).map(|number| node(number, "clean failed", None, u64::from(number))).collect();
        nodes[5] = node(5, "clean failed", None, 4999);
        poll(&mut store, nodes);
        assert_eq!(store.next(1), [key("00000005-a8d4-4a05-9443-41b0855f1ec3")]);
        assert_eq!(store.waiting(), MOST_WAITING, "those that had no place have come in");
    }

    #[test]
    fn without_a_history_the_last_error_is_the_failure() {
        let mut store = Store::new(false);
        let mut failed = node(1, "clean failed", None, 20);
        failed.last_error = Some(
            "agent HTTPConnectionPool(host='10.0.0.1 uid 0', port=9999): NameResolutionError".to_owned(),
        );
        poll(&mut store, vec![failed]);
        let key = store.next(1)[0];
        assert_eq!(store.read(key, Vec::new(), at(30), at(0)).len(), 1);
        assert_eq!(store.read(key, Vec::new(), at(30), at(0)).len(), 0);
    }
}
