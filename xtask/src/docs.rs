//! The documentation that is made from the code and from what it serves. Tests look at it; here they write it.

use std::path::Path;

use anyhow::Context;

use crate::bpf::Object;
use crate::{Missing, prerequisites, process};

/// `cargo xtask docs`: writes `docs/metrics.md`.
pub fn run() -> anyhow::Result<()> {
    let mut command = process::cargo();
    command.args(["test", "--quiet", "--package", "agent-user", "--test", "metrics_reference"]);
    process::run(command.env("IPA_SIDECAR_WRITE_DOCS", "1"))?;
    println!("docs/metrics.md is written");
    Ok(())
}

/// `cargo xtask pages`: pictures of the page in a browser. All go to `target/pages`, three of them to `docs/img`.
pub fn pages() -> anyhow::Result<()> {
    if !testbed::is_root() {
        return Err(Missing("pages needs root, for network namespaces".to_owned()).into());
    }
    prerequisites::ensure()?;
    let (all, kept) = (std::env::current_dir()?.join("target/pages"), Path::new("docs/img"));
    for directory in [&*all, kept] {
        std::fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    }
    let mut command = process::cargo();
    command.args(["test", "--package", "agent-user", "--test", "page_browser"]);
    Object::build()?.embed(&mut command);
    process::run(command.env("IPA_SIDECAR_PAGE_PICTURES", &all).env("CI", "true"))?;
    for state in ["healthy", "broken", "starting"] {
        let name = format!("page-{state}.png");
        std::fs::copy(all.join(&name), kept.join(&name)).with_context(|| name.clone())?;
    }
    println!("all pictures: {}; docs/img is written anew", all.display());
    Ok(())
}
