//! The commands that answer one question and end.

pub mod check_url;
pub mod doctor;
pub mod explain;
pub mod params;
pub mod status;
