//! What was found so far: by node, and in each by host. Bounded, however many nodes a log names.

use std::collections::BTreeMap;

use callback_url::{Context, Judgement, Verdict, judge};

use crate::failure::{self, Class, Named};

use super::records::Record;
use super::words;

/// The most nodes that are kept.
const NODES: usize = 10_000;
/// The most hosts of one node.
const HOSTS: usize = 8;

/// The symptoms that one bad URL has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Symptom {
    /// Ironic could not call the agent.
    Call(Class),
    /// Ironic waited for the iSCSI device of that address.
    Portal,
}

/// How often, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// How often.
    pub count: u64,
    /// The first time, as it stands in the log.
    pub first: String,
    /// The last time.
    pub last: String,
}

/// One agent URL of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The URL, cut.
    pub url: String,
    /// The port is a guess: only the iSCSI device named the host.
    pub port_is_guessed: bool,
    /// What is wrong with it, and what would be right.
    pub judgement: Judgement,
    /// What it led to.
    pub symptoms: BTreeMap<Symptom, Seen>,
}

/// All that was found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Found {
    /// By node, by host; the empty name stands for records that name no node.
    pub nodes: BTreeMap<String, BTreeMap<String, Cause>>,
    /// Records that found no room.
    pub omitted: u64,
}

impl Found {
    /// Whether no node failed.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Takes what a record says.
    pub fn add(&mut self, record: &Record) {
        let text = &record.text;
        for named in failure::every(text) {
            let url = named.url();
            let judgement = judge(&url, &Context::default());
            let is_portal = matches!(named, Named::Portal { .. });
            if is_portal && judgement.verdict == Verdict::Good {
                continue; // Ironic logs the device of every deployment.
            }
            let symptom = if is_portal { Symptom::Portal } else { Symptom::Call(failure::class(text)) };
            let node = words::node(text).unwrap_or_default().to_ascii_lowercase();
            let host = failure::kept(named.host().unwrap_or(&url));
            let new = Cause {
                url: failure::kept(&url),
                port_is_guessed: is_portal,
                judgement,
                symptoms: BTreeMap::new(),
            };
            match self.cause(node, host, new.clone()) {
                Some(cause) => {
                    if cause.port_is_guessed && !is_portal {
                        (cause.url, cause.judgement, cause.port_is_guessed) = (new.url, new.judgement, false);
                    }
                    count(&mut cause.symptoms, symptom, &record.time);
                }
                None => self.omitted += 1,
            }
        }
    }

    fn cause(&mut self, node: String, host: String, new: Cause) -> Option<&mut Cause> {
        if self.nodes.len() >= NODES && !self.nodes.contains_key(&node) {
            return None;
        }
        let hosts = self.nodes.entry(node).or_default();
        if hosts.len() >= HOSTS && !hosts.contains_key(&host) {
            return None;
        }
        Some(hosts.entry(host).or_insert(new))
    }
}

fn count(symptoms: &mut BTreeMap<Symptom, Seen>, symptom: Symptom, time: &str) {
    let fresh = || Seen { count: 0, first: time.to_owned(), last: String::new() };
    let seen = symptoms.entry(symptom).or_insert_with(fresh);
    seen.count += 1;
    time.clone_into(&mut seen.last);
}
