//! `cargo lab image`: the image of ipa-fleet as other tools read it, and its program in it, as another user than root,
//! against a real Ironic.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;
use testbed::http::Http;
use testbed::ironic::{Options, RealIronic};
use testbed::netns::Netns;
use xtask::dist::image::{self, Image};
use xtask::dist::{TARGETS, VERSION};
use xtask::prerequisites::{self, Purpose};
use xtask::process;

use crate::owned::{Killed, Scratch};

/// The port of its web server.
const WEB: u16 = 10_100;
const PATIENCE: Duration = Duration::from_secs(60);

/// Builds the image and tries it; the last line is what was tried.
///
/// # Errors
/// Where something is missing, or the image is not what it should be.
pub fn run() -> anyhow::Result<()> {
    prerequisites::ensure_root("image")?;
    for purpose in [Purpose::Test, Purpose::Cross, Purpose::Emulate] {
        println!("prerequisites: {}", prerequisites::ensure(purpose)?);
    }
    let image = image::built()?;
    let size = fs::metadata(&image.archive)?.len();
    println!("{}: {size} bytes, {}", image.archive.display(), image.digest);
    for target in TARGETS {
        println!("  {}", inspect(&image, target)?);
    }
    let scratch = Scratch::new("image")?;
    // Others than root go through it.
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755))?;
    let bundle = Bundle::unpack(&image, scratch.path())?;
    let netns = Arc::new(Netns::new()?);
    let ironic = RealIronic::start(&Options { netns: Some(Arc::clone(&netns)), ..Options::default() })?;
    println!("  {}", bundle.check(&netns, &ironic)?);
    println!("  {}", bundle.serve(&netns, &ironic)?);
    println!("an image of both architectures, {}, works as user {}", image.digest, bundle.user);
    Ok(())
}

/// What skopeo reads of one architecture.
fn inspect(image: &Image, target: &str) -> anyhow::Result<String> {
    let architecture = in_go(target)?;
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["inspect", "--override-arch", architecture]).arg(reference(image));
    let document: Value = serde_json::from_str(&process::output(&mut skopeo)?)?;
    let field = |name: &str| document.get(name).cloned().unwrap_or_default();
    ensure!(field("Architecture") == architecture && field("Os") == "linux", "{document:#}");
    let version = document.pointer("/Labels/org.opencontainers.image.version");
    ensure!(version.and_then(Value::as_str) == Some(VERSION), "{document:#}");
    Ok(format!("skopeo reads {architecture}: {}", field("Layers")))
}

fn reference(image: &Image) -> String {
    format!("oci:{}:{VERSION}", image.directory.display())
}

fn in_go(target: &str) -> anyhow::Result<&'static str> {
    let architecture = testbed::architecture::Architecture::of_target(target);
    Ok(architecture.with_context(|| target.to_owned())?.debian())
}

/// The unpacked image of this machine's architecture, and how it wants to be run.
struct Bundle {
    root: PathBuf,
    words: Vec<String>,
    user: u64,
}

impl Bundle {
    fn unpack(image: &Image, scratch: &Path) -> anyhow::Result<Self> {
        let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let one = format!("{}:{VERSION}", scratch.join("one").display());
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["copy", "--quiet", "--override-arch", in_go(&target)?]).arg(reference(image));
        process::output(skopeo.arg(format!("oci:{one}")))?;
        let bundle = scratch.join("bundle");
        process::output(Command::new("umoci").args(["unpack", "--rootless", "--image", &one]).arg(&bundle))?;
        let text = fs::read_to_string(bundle.join("config.json"))?;
        let config: Value = serde_json::from_str(&text)?;
        let words = config.pointer("/process/args").and_then(Value::as_array).context("no process")?;
        let words: Vec<String> = words.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let user = config.pointer("/process/user/uid").and_then(Value::as_u64).context("no user")?;
        ensure!(user != 0, "it runs as root");
        fs::set_permissions(&bundle, fs::Permissions::from_mode(0o755))?;
        Ok(Self { root: bundle.join("rootfs"), words, user })
    }

    /// The program in it, without anything of this machine but its network; started by its user, who has no privilege.
    fn command(&self, netns: &Netns, ironic: &RealIronic, arguments: &[&str]) -> Command {
        let mut command = netns.command("setpriv");
        let user = self.user.to_string();
        command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--", "bwrap", "--unshare-all"]);
        command.args(["--share-net", "--die-with-parent", "--clearenv"]);
        command.args(["--setenv", "IPA_FLEET_IRONIC_URL", &ironic.url(), "--ro-bind"]).arg(&self.root);
        command.args(["/", "--proc", "/proc", "--dev", "/dev", "--"]);
        command.args(self.words.first()).args(arguments);
        command
    }

    /// `check` finds the one node of that Ironic, and nothing wrong with it.
    fn check(&self, netns: &Netns, ironic: &RealIronic) -> anyhow::Result<String> {
        let output = self.command(netns, ironic, &["check", "--json"]).output()?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(0), "check ended with {}: {error}", output.status);
        let document: Value = serde_json::from_slice(&output.stdout)?;
        ensure!(document.get("visible").and_then(Value::as_u64) == Some(1), "{document:#}");
        Ok("check sees the node of a real Ironic, exit 0".to_owned())
    }

    /// What the image runs by itself becomes ready, as its user.
    fn serve(&self, netns: &Arc<Netns>, ironic: &RealIronic) -> anyhow::Result<String> {
        let words: Vec<&str> = self.words.iter().skip(1).map(String::as_str).collect();
        let mut command = self.command(netns, ironic, &words);
        let child = Killed(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
        let http = Http::inside(netns, std::net::SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), WEB));
        let started = Instant::now();
        while !http.get("/-/ready", &[]).is_ok_and(|answer| answer.status == 200) {
            ensure!(started.elapsed() < PATIENCE, "not ready within {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
        let took = started.elapsed().as_secs_f64();
        let status = fs::read_to_string(format!("/proc/{}/status", child.0.id()))?;
        let user = status.lines().find(|line| line.starts_with("Uid:")).unwrap_or_default().to_owned();
        ensure!(user.split_whitespace().nth(1) == Some(&self.user.to_string()), "it runs as {user}");
        Ok(format!("run is ready after {took:.1} s, {}", user.replace('\t', " ")))
    }
}
