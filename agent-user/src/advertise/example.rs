//! Traces and decisions for tests.

use callback_url::ApiUrl;

use super::{CandidateTrace, Decision, Origin, Refusal, TargetTrace};

/// A candidate by route towards `ip`.
pub fn candidate(ip: &str, source: &str, accepted: bool) -> CandidateTrace {
    CandidateTrace {
        ip: ip.parse().unwrap(),
        source: Some(source.parse().unwrap()),
        device: Some("eth0".to_owned()),
        table: None,
        accepted,
        reason: None,
        detail: None,
        origin: Origin::Route,
        refusal: None,
    }
}

/// A decision by route with these candidates.
pub fn decision(url: &ApiUrl, resolved: Vec<CandidateTrace>) -> Decision {
    let trace = vec![TargetTrace { url: url.clone(), resolved, failure: None }];
    Decision { trace, origin: Some(Origin::Route), ..Decision::none(Refusal::NoRoute) }
}
