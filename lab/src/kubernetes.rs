//! `cargo lab kubernetes`: deploy/kubernetes against the schemas of Kubernetes and of the Prometheus operator
//! (`@kubernetes-models`, from npm), and each misspelt field refused.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context;
use testbed::cache;
use xtask::dashboards::kubernetes::{self, DIRECTORY};
use xtask::{Missing, process, workspace};

/// What is copied beside the schemas.
const TOOLS: &str = "deploy/kubernetes/tools";
/// Where they are in the cache.
const PLACE: &str = "kubernetes-models";

/// Checks; the last line is what was checked.
///
/// # Errors
/// [`Missing`] without node and npm; else what is wrong.
pub fn run() -> anyhow::Result<()> {
    for program in ["node", "npm"] {
        let mut command = Command::new(program);
        let found = command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            let words = "the schemas need node and npm; on Debian, as root: apt-get install \
                         --no-install-recommends nodejs npm";
            return Err(Missing(words.to_owned()).into());
        }
    }
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
