//! `ipa-fleet`: beside the conductor, not in the ramdisk. It reads what an Ironic knows of all its nodes, judges the
//! callback URL of each, and explains why nodes failed. It never writes to Ironic.
//!
//! Data goes forward: ask (`api`, `poll`), judge (`subject`, `failure`; pure), show (`check`, `run`, `explain_log`).

mod api;
mod check;
mod cidr;
mod cli;
mod cloud;
mod exits;
mod explain_log;
mod failure;
mod logging;
mod moment;
mod names;
mod node;
mod params;
mod place;
mod poll;
mod ramdisks;
mod relay;
mod report;
mod run;
mod secret;
mod show;
mod states;
mod subject;

pub use cli::run;

/// What the tests and fuzz targets of this workspace look into. Nothing else of the crate is public.
#[doc(hidden)]
pub mod inside {
    pub use crate::cidr::Cidrs;
    pub use crate::cli::command;
    pub use crate::cloud::{cloud, settings};
    pub use crate::explain_log::printed;
    pub use crate::failure::{Explained, explain};
    pub use crate::node::{Node, Page, events};
    pub use crate::params::ReportParameters;
    pub use crate::ramdisks::{Ramdisk, Ramdisks};
    pub use crate::relay::{Relay, RelayResult, SidecarAccess};
    pub use crate::report::{LastWords, OnResult, ReportError, ReportsResult, Words, listen, section};
    pub use crate::show::line;
}
