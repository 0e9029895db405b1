//! ironic-python-agent on this machine: its configuration drop-in, and its status.

pub mod dropin;
pub mod keeper;
pub mod status;
