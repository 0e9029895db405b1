//! `cargo xtask ci`: everything that must hold before a change is taken.

use xtask::prerequisites::{self, Purpose};
use xtask::workspace::PACKAGE;
use xtask::{dashboards, process};

use crate::stages::Stages;
use crate::{budget, deny, fuzz, imports, lab, promises, prose, test, version};

/// Runs all of it, also after a failure, and ends with a table.
pub fn run() -> anyhow::Result<()> {
    let mut stages = Stages::default();
    // Without root most tests would be left, and the end would look good.
    let prepared = || prerequisites::ensure_root("ci").and_then(|()| prerequisites::ensure(Purpose::Test));
    if !stages.run("prerequisites", prepared) {
        return stages.finish();
    }
    let Some(object) = test::bpf_stage(&mut stages) else {
        return stages.finish();
    };
    stages.run("fmt", || cargo("fmt --all -- --check"));
    stages.run("clippy", || {
        let mut command = process::cargo();
        command.args(["clippy", "--workspace", "--all-targets"]);
        object.embed(&mut command);
        process::run(command.args(["--", "-D", "warnings"]))?;
        Ok(String::new())
    });
    stages.run("clippy without probes", || {
        cargo(&format!("clippy --package {PACKAGE} --lib --bins -- -D warnings"))
    });
    stages.run("doc", || {
        let mut command = process::cargo();
        command.args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings");
        object.embed(&mut command);
        process::run(&mut command)?;
        Ok(String::new())
    });
    stages.run("version", version::check);
    stages.run("deny", deny::run);
    stages.run("imports", imports::run);
    stages.run("dashboards", dashboards::run);
    stages.run("promises", promises::run);
    stages.run("prose", prose::run);
    let installed = test::install(&mut stages);
    // Prometheus mostly waits there.
    let with_data = || lab::stage_marked("dashboards", "dashboards| ");
    stages.beside("dashboards with data", with_data, |stages| {
        stages.run("fuzz", fuzz::stage);
    });
    stages.run("budget", budget::run);
    test::run_stages(&mut stages, &object, installed, None);
    stages.finish()
}

fn cargo(words: &str) -> anyhow::Result<String> {
    process::run(process::cargo().args(words.split(' ')))?;
    Ok(String::new())
}
