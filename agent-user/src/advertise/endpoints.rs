//! Where to reach the API, in the order of the decision.

use std::collections::HashSet;

use super::Decision;
use crate::ironic::{Endpoint, IronicError};

impl Decision {
    /// The API URLs with their addresses, usable ones first; those without any address are left out.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        let targets = self.trace.iter().map(|target| {
            let mut candidates: Vec<_> = target.resolved.iter().collect();
            candidates.sort_by_key(|candidate| !candidate.accepted);
            let mut seen = HashSet::new();
            let addresses =
                candidates.into_iter().map(|candidate| candidate.ip).filter(|ip| seen.insert(*ip));
            Endpoint { url: target.url.clone(), addresses: addresses.collect() }
        });
        targets.filter(|endpoint| !endpoint.addresses.is_empty()).collect()
    }

    /// Why a request failed, with the API URLs that have no address and why: else nobody knows which name to look at.
    pub fn explained(&self, error: &IronicError) -> String {
        let failures = self.trace.iter().filter_map(|target| Some((&target.url, target.failure.as_ref()?)));
        failures.fold(error.to_string(), |words, (url, failure)| format!("{words}; {url}: {failure}"))
    }
}
