//! ironic-python-agent on this machine: its configuration drop-in, its process, unit and status, and with which address it
//! has started.

pub mod commitment;
pub mod dropin;
pub mod keeper;
pub mod place;
pub mod process;
pub mod status;
pub mod unit;
