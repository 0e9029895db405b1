//! HTTP/1.1 (RFC 9112) as bytes show it: requests and answers of one connection, separated while they pass. Pure.
//!
//! [`Splitter`] follows the requests: the guard has a heartbeat kept back for it, sight only reads. [`Answers`] follows
//! what comes back. [`classify`] knows what a request asks by its path, [`HeartbeatBody`] reads what a heartbeat says.

mod answers;
mod body;
mod head;
mod skip;
mod split;

pub use answers::{Answer, Answers, PENDING};
pub use body::{Era, HeartbeatBody, Kind, TokenSeen, classify};
pub use split::{Asked, Heartbeat, Splitter, Step};
