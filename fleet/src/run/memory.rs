//! The failures that are remembered: 7 days or 1,000 of them, each counted once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::moment::Moment;
use crate::node::Event;
use crate::subject::Failure;

/// So many are remembered.
const MOST: usize = 1000;
/// For so long.
pub const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
/// Ironic records several events as it gives up on a node once: what comes within this time belongs to it. A ramdisk takes
/// longer to boot.
const ONE_FAILURE: Duration = Duration::from_secs(10);

/// A failure of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The node's UUID as a number.
    pub key: u128,
    /// Its name, where it has one.
    pub name: Option<Box<str>>,
    /// It, explained.
    pub failure: Failure,
    /// It happened after the start, so it stands in the counter.
    pub counted: bool,
}

/// Of which node events are, and what was known of it.
#[derive(Debug, Clone, Copy)]
pub struct Whose<'a> {
    /// Its UUID as a number.
    pub key: u128,
    /// Its name, where it has one.
    pub name: Option<&'a str>,
    /// The last agent URL that this program has seen.
    pub last_url: Option<&'a str>,
}

/// The memory.
#[derive(Debug, Default)]
pub struct Memory {
    failures: BTreeMap<(Moment, u128), Arc<Recorded>>,
    /// Up to where the history of a node is read.
    read_until: HashMap<u128, Moment>,
}

impl Memory {
    /// Takes the failures out of a node's history, as far as it is not read yet; gives those that happened since the start.
    pub fn read(
        &mut self,
        whose: Whose<'_>,
        mut events: Vec<Event>,
        now: Moment,
        start: Moment,
    ) -> Vec<Arc<Recorded>> {
        events.retain(|event| event.at >= now.before(LONGEST));
        events.sort_by_key(|event| event.at);
        let mut until = self.read_until.get(&whose.key).copied();
        let mut together: Vec<Vec<Event>> = Vec::new();
        for event in events {
            let at = event.at;
            match until {
                Some(read) if at <= read && together.is_empty() => continue,
                Some(last) if last.until(at) <= ONE_FAILURE => {
                    // Without a group it belongs to one that was read before.
                    if let Some(group) = together.last_mut() {
                        group.push(event);
                    }
                }
                _ => together.push(vec![event]),
            }
            until = Some(at);
        }
        if let Some(until) = until {
            self.read_until.insert(whose.key, until);
        }
        let mut fresh = Vec::new();
        for group in together {
            let counted = group.first().is_some_and(|event| event.at >= start);
            // What an old text is about was another ramdisk.
            let last_url = whose.last_url.filter(|_| counted);
            let explained = group.iter().map(|event| Failure::of(event.at, &event.text, last_url));
            let Some(failure) = explained.max_by_key(|failure| (failure.is_agents(), failure.at)) else {
                continue;
            };
            let (key, name) = (whose.key, whose.name.map(Box::from));
            let recorded = Arc::new(Recorded { key, name, counted, failure });
            if counted {
                fresh.push(Arc::clone(&recorded));
            }
            self.failures.insert((recorded.failure.at, key), recorded);
        }
        while self.failures.len() > MOST {
            self.failures.pop_first();
        }
        fresh
    }

    /// Forgets what is too old, and how far the histories of nodes were read that are gone.
    pub fn forget(&mut self, now: Moment, is_known: impl Fn(u128) -> bool) {
        self.failures = self.failures.split_off(&(now.before(LONGEST), 0));
        self.read_until.retain(|key, _| is_known(*key));
    }

    /// All, the newest first.
    pub fn newest_first(&self) -> Vec<Arc<Recorded>> {
        self.failures.values().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Class;

    const AGENTS: &str = "Error invoking agent command: HTTPConnectionPool(host='10.0.0.1 uid 0', port=9999): \
                          Max retries exceeded with url: /v1/commands/ (Caused by NameResolutionError(";

    fn at(seconds: u64) -> Moment {
        Moment::from_seconds(10_000_000 + seconds)
    }

    fn event(seconds: u64, text: &str) -> Event {
        Event { at: at(seconds), text: text.to_owned() }
    }

    fn read(memory: &mut Memory, events: Vec<Event>) -> Vec<(Class, u64)> {
        let whose = Whose { key: 7, name: Some("rack~7"), last_url: Some("http://None:9999") };
        let fresh = memory.read(whose, events, at(1000), at(100));
        fresh.iter().map(|one| (one.failure.class, at(0).until(one.failure.at).as_secs())).collect()
    }

    #[test]
    fn events_of_one_moment_are_one_failure_and_it_is_counted_once() {
        let mut memory = Memory::default();
        let events = vec![event(205, "Failed to power off"), event(200, AGENTS)];
        assert_eq!(read(&mut memory, events.clone()), [(Class::NameResolution, 200)]);
        assert_eq!(read(&mut memory, events.clone()), []);
        // A late one belongs to the same failure, a later one does not.
        let more =
            vec![event(210, "Failed to tear down"), event(400, "Timeout reached while waiting for callback")];
        assert_eq!(read(&mut memory, [events, more].concat()), [(Class::CallbackTimeout, 400)]);
        let known = memory.newest_first();
        assert_eq!((known.len(), known[0].failure.url.as_deref()), (2, Some("http://None:9999")));
    }

    #[test]
    fn what_is_older_than_the_start_is_shown_and_not_counted() {
        let mut memory = Memory::default();
        let old = vec![event(50, "Timeout reached while waiting for callback"), event(150, AGENTS)];
        assert_eq!(read(&mut memory, old), [(Class::NameResolution, 150)]);
        let known = memory.newest_first();
        assert_eq!(known.iter().map(|one| one.counted).collect::<Vec<_>>(), [true, false]);
        assert_eq!(known[1].failure.url, None, "the last URL is of a later ramdisk");
    }

    #[test]
    fn memory_has_an_end() {
        let mut memory = Memory::default();
        for key in 0..1500 {
            let whose = Whose { key, name: None, last_url: None };
            memory.read(whose, vec![event(200 + key as u64, AGENTS)], at(2000), at(0));
        }
        assert_eq!((memory.newest_first().len(), memory.newest_first()[0].key), (MOST, 1499));
        memory.forget(Moment::from_seconds(10_001_000 + 7 * 86_400), |key| key < 10);
        assert_eq!((memory.newest_first().len(), memory.read_until.len()), (700, 10));
        let week = 8 * 86_400;
        let mut memory = Memory::default();
        assert_eq!(
            read(
                &mut memory,
                vec![Event { at: at(0).before(Duration::from_secs(week)), text: String::new() }]
            ),
            []
        );
        assert!(memory.newest_first().is_empty());
    }
}
