//! The decision: which address this node advertises, and why every other candidate was refused.
//!
//! Pure: [`Facts`] in (what the kernel and DNS said), [`Decision`] out. Asking is [`crate::watch`]'s work.

mod candidate;
mod decide;
mod endpoints;
#[cfg(test)]
pub mod example;
mod explanation;
mod facts;
mod order;
mod refusal;
#[cfg(test)]
mod tests;
mod undecided;

pub use decide::{Decision, Family, Origin, decide};
pub use explanation::Explanation;
pub use facts::{Answered, Candidate, Committed, Destination, Facts, Pinned, RouteFailure, Target};
pub use refusal::Refusal;

use std::net::IpAddr;

use serde::Serialize;

use callback_url::ApiUrl;

/// What became of one API URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TargetTrace {
    pub url: ApiUrl,
    /// One entry for each candidate, in the order of preference.
    pub resolved: Vec<CandidateTrace>,
    /// Why there is no entry: the name does not resolve.
    #[serde(skip)]
    pub failure: Option<String>,
}

/// What became of one candidate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CandidateTrace {
    /// The API's address.
    pub ip: IpAddr,
    /// The source address towards it.
    pub source: Option<IpAddr>,
    /// The outgoing device.
    pub device: Option<String>,
    /// The routing table that had the route.
    pub table: Option<u32>,
    /// Whether it may be advertised.
    pub accepted: bool,
    /// Why not, or in what way it is only a last resort (`deprecated`, `temporary`).
    pub reason: Option<&'static str>,
    /// The same as a sentence.
    #[serde(skip)]
    pub detail: Option<String>,
    /// How the source was found.
    #[serde(skip)]
    pub origin: Origin,
    /// The refusal behind `reason`; `None` for an accepted one.
    #[serde(skip)]
    pub refusal: Option<Refusal>,
}

impl CandidateTrace {
    /// The table for people: those that every system has, by name (`include/uapi/linux/rtnetlink.h`,
    /// `enum rt_class_t`).
    pub fn table_name(&self) -> Option<String> {
        self.table.map(|table| match table {
            253 => "default".to_owned(),
            254 => "main".to_owned(),
            255 => "local".to_owned(),
            other => other.to_string(),
        })
    }
}
