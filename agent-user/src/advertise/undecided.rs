//! Whether the choice among several sources is only the routing table's.

use std::collections::HashSet;

use super::{Decision, Origin};

impl Decision {
    /// Whether connects could change the choice: the sources differ, and nothing that goes before has decided.
    pub fn is_open(&self) -> bool {
        let candidates = self.trace.iter().flat_map(|target| &target.resolved);
        let sources: HashSet<_> = candidates
            .filter(|candidate| candidate.accepted)
            .filter_map(|candidate| candidate.source)
            .collect();
        let decided = matches!(self.origin, Some(Origin::Operator | Origin::Pinned | Origin::Committed));
        sources.len() > 1 && !decided
    }

    /// The sources differ, and Ironic has answered none of them. IPA must not start with a guess: left alone, it takes the
    /// source towards the API URL that has answered its lookup (ironic_python_agent/agent.py, `set_agent_advertise_addr`).
    pub fn is_undecided(&self) -> bool {
        self.is_open() && self.origin != Some(Origin::Answered)
    }
}

#[cfg(test)]
mod tests {
    use callback_url::ApiUrl;

    use super::*;
    use crate::advertise::CandidateTrace;
    use crate::advertise::example::{self, candidate};

    fn decision(resolved: Vec<CandidateTrace>) -> Decision {
        example::decision(&ApiUrl::parse("http://ironic.test:6385").unwrap(), resolved)
    }

    #[test]
    fn only_different_sources_leave_it_open() {
        let one = candidate("10.0.0.1", "10.0.0.2", true);
        let same = candidate("10.0.0.9", "10.0.0.2", true);
        let other = candidate("10.1.0.1", "10.1.0.2", true);
        let refused = candidate("10.1.0.1", "10.1.0.2", false);
        assert!(decision(vec![one.clone(), other]).is_open());
        assert!(!decision(vec![one.clone(), same]).is_open());
        assert!(!decision(vec![one, refused]).is_open());
    }

    #[test]
    fn what_goes_before_the_route_has_decided() {
        let both = [candidate("10.0.0.1", "10.0.0.2", true), candidate("10.1.0.1", "10.1.0.2", true)];
        for origin in Origin::ALL {
            let decision = Decision { origin: Some(origin), ..decision(both.to_vec()) };
            let settled = [Origin::Operator, Origin::Pinned, Origin::Committed].contains(&origin);
            assert_eq!(decision.is_open(), !settled, "{origin:?}");
            assert_eq!(decision.is_undecided(), !settled && origin != Origin::Answered, "{origin:?}");
        }
    }
}
