//! The Ironic API as a deploy ramdisk uses it: version discovery, lookup, heartbeat.
//!
//! One request's way through the modules:
//!
//! 1. [`version`] picks the API version, [`lookup`] or [`heartbeat`] the path and body.
//! 2. [`client`] walks the endpoints in order, [`connect`] opens each connection (over TLS as [`exporter`] sets it
//!    up), `http` sends the request and reads a bounded answer.
//! 3. [`fault`] reads Ironic's double-encoded errors; [`error`] is the one error type, [`results`] the metric labels.
//!
//! [`schedule`] (pure) says when to send the next one.

pub mod client;
pub mod connect;
pub mod error;
pub mod fault;
pub mod heartbeat;
mod http;
mod json;
pub mod lookup;
pub mod results;
pub mod schedule;
pub mod version;

pub use client::{Answer, Client, Endpoint};
pub use connect::{Connection, Connector};
pub use error::{IronicError, Phase, Refusal};
pub use heartbeat::Heartbeat;
pub(crate) use http::get;
pub use lookup::{LookupQuery, LookupReply};
pub use results::{HeartbeatResult, LookupResult};
