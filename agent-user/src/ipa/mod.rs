//! ironic-python-agent on this machine: its configuration drop-in, its process, unit and status, with which address it has
//! started, and its restart before the lookup.

pub mod commitment;
pub mod dropin;
pub mod keeper;
pub mod process;
pub mod restart;
pub mod status;
pub mod token;
pub mod unit;
