//! The running daemon in modes observe, configure and agent: what it sends and writes, when, and what it reports.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, missing_docs)]

mod agent;
mod agent_faults;
mod beside_ipa;
mod configure;
mod container;
mod earlier;
mod execve;
mod fleet;
mod listener;
mod passed_by;
mod place;
mod reach;
mod read_back;
mod relay;
mod report;
mod restart;
mod sight;
mod started_with;

use testbed::daemon::Daemon;
use testbed::site::Site;
use testbed::stand_in::{Behaviour, StandIn};

/// A site with a stand-in Ironic, and the daemon in mode agent with these flags.
fn with_agent(behaviour: Behaviour, flags: &[&str]) -> (Site, StandIn, Daemon) {
    let site = Site::new();
    let ironic = site.ironic(behaviour);
    let daemon = site.agent(flags);
    (site, ironic, daemon)
}
