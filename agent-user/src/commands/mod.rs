//! To come.

pub mod params;
