//! ipa-sidecar: the kernel's own answer to "which source address reaches the Ironic API", as one typed value, from
//! netlink to everything that needs it.
//!
//! One event's way through the modules, in order:
//!
//! 1. [`fib`]: a multicast message pokes, and the kernel is asked.
//! 2. [`advertise`]: the pure decision, with every candidate and every refusal.
//! 3. [`callback_url`]: the callback URL that is built from it.
//! 4. [`ipa`] (IPA's configuration) or [`agent`] with [`ironic`] (lookup and heartbeats of our own).
//! 5. [`probes`]: whether what was advertised worked, as the kernel saw it.
//! 6. [`metrics`] and [`web`], which [`exporter`] serves: what people see of it.
//!
//! [`daemon`] wires these together; [`params`] says what the operator wants; [`commands`] are the commands that
//! answer one question and end.

pub mod advertise;
pub mod agent;
pub mod cli;
pub mod commands;
pub mod daemon;
pub mod exchange;
pub mod guard;
pub mod ipa;
pub mod ironic;
mod logging;
pub mod metrics;
pub mod metrics_reference;
pub mod notify;
pub mod params;
pub mod pin;
pub mod probes;
mod readiness;
mod recent;
mod system;
mod view;
pub mod watch;
pub mod web;
