//! The guard: a loopback proxy between IPA and Ironic that sees every lookup and heartbeat.

mod certificate;
mod policy;
mod request;
