//! ironic-python-agent on this machine: its configuration drop-in, its status, its version, its restart.

pub mod dropin;
pub mod keeper;
pub mod redirect;
pub mod restart;
pub mod status;
pub mod version;
