//! Where to reach the API, in the order of the decision.

use std::collections::HashSet;

use super::Decision;
use crate::ironic::Endpoint;

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
}
