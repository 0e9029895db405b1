//! ironic-python-agent on this machine: its configuration drop-in, its process, unit, status and version, its restart, and
//! with which address it has started.

pub mod commitment;
pub mod dropin;
pub mod keeper;
pub mod process;
pub mod redirect;
pub mod restart;
pub mod status;
pub mod unit;
pub mod version;
