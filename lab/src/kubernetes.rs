//! `cargo lab kubernetes`: deploy/kubernetes against the schemas of Kubernetes and of the Prometheus operator
//! (`@kubernetes-models`, from npm), and each misspelt field refused.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use testbed::cache;
use xtask::dashboards::kubernetes::{self, DIRECTORY};
use xtask::{process, workspace};

use crate::programs;

/// What is copied beside the schemas.
const TOOLS: &str = "deploy/kubernetes/tools";
/// Where they are in the cache.
const PLACE: &str = "kubernetes-models";

/// Checks; the last line is what was checked.
///
/// # Errors
/// `Missing` without node and npm; else what is wrong.
pub fn run() -> anyhow::Result<()> {
    programs::ensure("the schemas", &["node", "npm"], "nodejs npm")?;
    kubernetes::check()?;
    let directory = cache::directory()?.join(PLACE);
    let _lock = cache::lock(PLACE)?;
    fs::create_dir_all(&directory)?;
    for name in ["package.json", "check.mjs"] {
        let from = Path::new(TOOLS).join(name);
        fs::copy(&from, directory.join(name)).with_context(|| from.display().to_string())?;
    }
    let npm = ["install", "--no-audit", "--no-fund", "--loglevel=error"];
    process::run(Command::new("npm").args(npm).current_dir(&directory))?;
    let files = workspace::files(Path::new(DIRECTORY), &["yaml"])?;
    process::run(Command::new("node").arg(directory.join("check.mjs")).args(files))
}
