//! `ipa-fleet`: beside the conductor, not in the ramdisk. It reads what an Ironic knows of all its nodes, judges the
//! callback URL of each, and explains why nodes failed. It never writes to Ironic.
//!
//! Data goes forward: ask (`api`, `poll`), judge (`subject`, `failure`; pure), show (`check`, `explain_log`).

mod api;
mod check;
#[cfg_attr(not(test), expect(dead_code, reason = "the parts that use it follow"))]
mod cidr;
mod cli;
mod cloud;
mod explain_log;
mod failure;
mod logging;
mod moment;
mod names;
mod node;
mod params;
mod poll;
mod show;
mod states;
mod subject;

pub use cli::run;

/// What the tests and fuzz targets of this workspace look into. Nothing else of the crate is public.
#[doc(hidden)]
pub mod inside {
    pub use crate::cloud::{cloud, settings};
    pub use crate::explain_log::printed;
    pub use crate::failure::{Explained, explain};
    pub use crate::node::{Node, Page, events};
    pub use crate::show::line;
}
