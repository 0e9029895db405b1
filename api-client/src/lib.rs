//! Requests to the HTTP APIs of OpenStack, for any daemon: one connection each, bounded in time and size, with TLS as
//! [`exporter`] sets it up; and what is common to Ironic's answers: its error texts and its API versions.

pub mod connect;
pub mod error;
mod fault;
pub mod http;
pub mod json;
pub mod version;
mod words;

pub use connect::{Connection, Connector, Stream};
pub use error::{HttpError, Peer, Phase};
pub use fault::error_text;
pub use version::ApiVersion;
pub use words::{is_uuid, query_value};
