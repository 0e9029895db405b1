//! ironic-python-agent on this machine: its configuration drop-in, its process, unit and status, and with which address it
//! has started.

pub mod commitment;
pub mod dropin;
pub mod keeper;
pub mod process;
pub mod status;
pub mod token;
pub mod unit;
