//! Which nodes are in trouble, the worst first. Pure.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use callback_url::Reason;

use super::claims::Claims;
use super::fleet::Fleet;
use super::kept::{Heard, Kept};
use super::memory::Recorded;

/// A ramdisk that was not heard for so long is not coming: booting takes a few minutes.
const NEVER_HEARD: Duration = Duration::from_secs(900);

/// What is wrong with a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Its agent URL cannot work.
    BadUrl(Reason),
    /// Another node claims the same address.
    SharedAddress,
    /// It was not heard for so long.
    NeverHeard(Duration),
    /// Ironic has given up on it, and this is why, where that is known.
    Failed(Option<Arc<Recorded>>),
}

/// A node in trouble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Which.
    pub node: Arc<Kept>,
    /// The worst of it.
    pub what: What,
}

impl Trouble {
    /// The class as a label: of the failure, or a word for what is wrong now.
    pub fn class(&self) -> &'static str {
        match &self.what {
            What::BadUrl(_) => "bad_agent_url",
            What::SharedAddress => "shared_address",
            What::NeverHeard(_) => "never_heard",
            What::Failed(Some(recorded)) => recorded.failure.class.as_str(),
            What::Failed(None) => "unexplained",
        }
    }

    /// The first reason why the URL is bad, as a label.
    pub fn reason(&self) -> &'static str {
        let reason = match &self.what {
            What::BadUrl(reason) => Some(reason),
            What::Failed(Some(recorded)) => recorded.failure.reasons.first(),
            _ => None,
        };
        reason.map_or("none", |reason| reason.as_str())
    }

    fn rank(&self) -> u8 {
        match &self.what {
            What::BadUrl(_) => 0,
            What::SharedAddress => 1,
            What::Failed(Some(recorded)) if !recorded.failure.reasons.is_empty() => 2,
            What::NeverHeard(_) => 3,
            What::Failed(_) => 4,
        }
    }
}

/// All of them.
pub fn of(fleet: &Fleet) -> Vec<Trouble> {
    let claims = Claims::of(fleet);
    let failures = fleet.last_failures();
    let mut troubles: Vec<_> = fleet
        .nodes
        .values()
        .filter_map(|node| {
            let what = if let (true, Some(reason)) = (node.is_live(), node.reasons.first()) {
                What::BadUrl(*reason)
            } else if claims.are_shared(node) {
                What::SharedAddress
            } else if node.has_failed() {
                What::Failed(failures.get(&node.key).map(|failure| Arc::clone(failure)))
            } else {
                let at =
                    node.changed_at.filter(|_| node.is_live() && node.heard(fleet.now) == Heard::Never)?;
                What::NeverHeard(Some(at.until(fleet.now)).filter(|waited| *waited >= NEVER_HEARD)?)
            };
            Some(Trouble { node: Arc::clone(node), what })
        })
        .collect();
    troubles.sort_by_key(|trouble| (trouble.rank(), Reverse(trouble.node.changed_at), trouble.node.key));
    troubles
}
