//! TLS of the listener and of its own requests.

mod allowed_sans;
mod client;
mod clock;
mod server;
mod verifier;

pub use client::{ClientTls, ClientTlsError, server_name, tls_connector, tls_words};
pub use clock::utc;
pub(crate) use server::Pems;
