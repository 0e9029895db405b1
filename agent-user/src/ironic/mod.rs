//! The Ironic API as a deploy ramdisk uses it: version discovery, lookup, heartbeat.
//!
//! One request's way through the modules:
//!
//! 1. [`version`] picks the API version, [`lookup`] or [`heartbeat`] the path and body.
//! 2. [`client`] walks the endpoints in order, [`api_client`] opens each connection, sends the request and reads a
//!    bounded answer.
//! 3. [`fault`] reads Ironic's double-encoded errors; [`error`] is the one error type, [`results`] the metric labels.
//!
//! [`schedule`] (pure) says when to send the next one.

pub mod client;
pub mod error;
pub mod fault;
pub mod heartbeat;
pub mod lookup;
pub mod results;
pub mod schedule;

pub use api_client::{Connection, Phase};
pub use client::{Answer, Client, Endpoint};
pub use error::{IronicError, Refusal};
pub use heartbeat::Heartbeat;
pub use lookup::{LookupQuery, LookupReply};
pub use results::{HeartbeatResult, LookupResult};
