//! `cargo lab pages`: pictures of the page in a browser. All go to `target/pages`, three of them to `docs/img`.

use std::path::Path;

use anyhow::Context;
use xtask::bpf::Object;
use xtask::prerequisites::{self, Purpose};
use xtask::process;
use xtask::workspace::PACKAGE;

/// Draws them.
///
/// # Errors
/// Where something is missing, or a test of the page fails.
pub fn run() -> anyhow::Result<()> {
    prerequisites::ensure_root("pages")?;
    prerequisites::ensure(Purpose::Test)?;
    let (all, kept) = (std::env::current_dir()?.join("target/pages"), Path::new("docs/img"));
    for directory in [&*all, kept] {
        std::fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    }
    let mut command = process::cargo();
    command.args(["test", "--package", PACKAGE, "--test", "web"]);
    Object::build()?.embed(&mut command);
    command.arg("page::");
    process::run(command.env("IPA_SIDECAR_PAGE_PICTURES", &all).env("CI", "true"))?;
    for state in ["healthy", "broken", "starting"] {
        let name = format!("page-{state}.png");
        std::fs::copy(all.join(&name), kept.join(&name)).with_context(|| name.clone())?;
    }
    println!("all pictures: {}; docs/img is written anew", all.display());
    Ok(())
}
