//! `ipa-sidecar explain`: one question, one answer.

mod addresses;
mod names;
mod refusals;
mod routes;
mod witness;
