//! A decision as `explain --json` and `/state` show it.

use callback_url::Host;
use serde::Serialize;

use super::{Decision, Family, Refusal, TargetTrace};

/// The shape is a contract: see the README.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation<'a> {
    address: Option<String>,
    device: Option<&'a str>,
    family: Option<&'static str>,
    callback_url: Option<&'a str>,
    api_urls: &'a [TargetTrace],
    reason: Option<&'static str>,
}

impl<'a> From<&'a Decision> for Explanation<'a> {
    fn from(decision: &'a Decision) -> Self {
        Self {
            address: decision.address.as_ref().map(Host::bare),
            device: decision.device.as_deref(),
            family: decision.family.map(Family::as_str),
            callback_url: decision.callback_url.as_deref(),
            api_urls: &decision.trace,
            reason: decision.refusal.map(Refusal::as_str),
        }
    }
}
