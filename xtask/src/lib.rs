//! What `cargo xtask` and `cargo lab` share: building with the BPF programs, the release, prerequisites, other programs.
#![allow(clippy::disallowed_methods)] // Running other programs is what these commands are for.

pub mod bpf;
pub mod build;
pub mod command_line;
pub mod dashboards;
pub mod dist;
pub mod prerequisites;
pub mod process;
mod rustc_web;
pub mod tool;
pub mod workspace;

/// Something that is needed and missing: exit status 69 (EX_UNAVAILABLE).
#[derive(Debug)]
pub struct Missing(pub String);

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Missing {}
