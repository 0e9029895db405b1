//! Pictures of the boards, drawn with Grafana's own UI components by a real browser, for docs/img. Not for ci: the
//! components take 600 MB.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use testbed::{cache, chromium};
use xtask::dashboards::{DIRECTORY, TOOLS};
use xtask::process;

use crate::programs;

const IMAGES: &str = "docs/img";
/// Each with the node that it shows, and the height of the picture in CSS pixels.
const PICTURES: [(&str, &str, u32); 2] = [("fleet", "", 1520), ("node", "seed-url", 2375)];
const WIDTH: u32 = 1400;
/// How far back the boards look, in seconds: a whole run.
const SINCE: u32 = 90;
/// What the bundler does with what is no script.
const LOADERS: [&str; 5] = ["svg", "woff", "woff2", "ttf", "png"];

/// Draws them from this Prometheus.
///
/// # Errors
/// `Missing` without npm and Chromium; else where one of them fails.
pub fn draw(prometheus: SocketAddr) -> anyhow::Result<String> {
    programs::ensure("the pictures", &["npm", "chromium"], "npm chromium")?;
    let directory = cache::directory()?.join("grafana-ui-11.6.0");
    let _lock = cache::lock("grafana-ui-11.6.0")?;
    fs::create_dir_all(&directory)?;
    for folder in [TOOLS, DIRECTORY] {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().context("a file without a name")?;
            if path.is_file() {
                fs::copy(&path, directory.join(name))?;
            }
        }
    }
    let npm = ["install", "--no-audit", "--no-fund", "--loglevel=error"];
    process::run(Command::new("npm").args(npm).current_dir(&directory))?;
    let mut bundler = Command::new(directory.join("node_modules/.bin/esbuild"));
    bundler.args(["page.tsx", "--bundle", "--outfile=out/page.js", "--external:fs", "--log-level=error"]);
    bundler.args(["--alias:react-custom-scrollbars-2=./scrollbars.js"]);
    bundler.arg("--define:process.env.NODE_ENV=\"production\"");
    bundler.args(LOADERS.map(|end| format!("--loader:.{end}=dataurl")));
    process::run(bundler.current_dir(&directory))?;
    fs::create_dir_all(IMAGES)?;
    for (board, instance, height) in PICTURES {
        let image = std::path::absolute(IMAGES)?.join(format!("dashboard-{board}.png"));
        let page = format!(
            "file://{}?prometheus=http://{prometheus}&board={board}&instance={instance}&since={SINCE}",
            directory.join("index.html").display()
        );
        take(&page, &image, height, &directory.join("profile"))?;
    }
    Ok(format!("drawn with Grafana's UI components: look at them in {IMAGES}"))
}

fn take(page: &str, image: &Path, height: u32, profile: &Path) -> anyhow::Result<()> {
    let flags = ["--hide-scrollbars", "--force-device-scale-factor=0.75", "--virtual-time-budget=30000"];
    let mut command = Command::new("chromium");
    command
        .args(chromium::FLAGS)
        .args(flags)
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--window-size={WIDTH},{height}"))
        .arg(format!("--screenshot={}", image.display()))
        .arg(page)
        .stderr(Stdio::null()); // It complains about the bus and the GPU that it does not have.
    let _ = fs::remove_file(image);
    process::run(&mut command)?;
    if image.exists() {
        return Ok(());
    }
    bail!("Chromium made no {}", image.display())
}
