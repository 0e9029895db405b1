//! One IPA with one Ironic.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;
use testbed::daemon::Daemon;
use testbed::ipa::{IpaOptions, RealIpa};
use testbed::ironic::{Options, RealIronic};
use testbed::netns::Netns;
use testbed::site::{API_FLAG, DEVICE, Directory, FIRST, MAC};

/// The modes that each pair runs in.
pub const MODES: [&str; 2] = ["configure", "guard"];
/// For a start of the daemon.
const SOON: Duration = Duration::from_secs(20);
/// For the first recorded heartbeat, on a machine with other work.
const PATIENCE: Duration = Duration::from_secs(180);
/// IPA is asked every 10 s, and is given 20 s for its first heartbeat.
const READ_BACK: Duration = Duration::from_secs(60);

/// In `/state`: the callback URL that Ironic held.
const URL_READ_BACK: &str = "/read_back/agent_url";

/// Asks the agent as the conductor's client does (ironic/drivers/modules/agent_client.py): requests, with the certificate
/// that came with the heartbeat.
const CALL: &str = "import requests, sys; url, cert = sys.argv[1:]; \
    print(requests.get(url + '/v1/status', verify=cert or True, timeout=30).json()['version'])";

/// Versions.
pub struct Pair {
    /// Of ironic-python-agent.
    pub ipa: String,
    /// Of Ironic.
    pub ironic: String,
}

/// What came of a run.
#[derive(Debug)]
pub struct Found {
    decided: String,
    recorded: String,
    seen_by: Vec<String>,
    read_back: Option<String>,
    call: Result<String, String>,
}

impl Found {
    /// Whether the conductor reaches the node where the daemon says, and the daemon knows it.
    pub fn is_good(&self, mode: &str) -> bool {
        let eye = if mode == "guard" { "guard" } else { "sight" };
        let is_known =
            self.seen_by == [eye] && self.read_back.as_ref().is_none_or(|url| *url == self.recorded);
        self.is_decided(&self.recorded) && self.call.is_ok() && is_known
    }

    /// Auto TLS makes the URL https.
    fn is_decided(&self, url: &str) -> bool {
        let bare = |url: &str| url.rsplit_once("//").map(|(_, rest)| rest.to_owned());
        bare(url) == bare(&self.decided)
    }

    /// For the table.
    pub fn cells(&self) -> [String; 4] {
        let url = match self.is_decided(&self.recorded) {
            true => self.recorded.clone(),
            false => format!("**{}** instead of {}", self.recorded, self.decided),
        };
        let read_back = match &self.read_back {
            Some(url) if *url == self.recorded => "the same".to_owned(),
            Some(url) => format!("**{url}**"),
            None => "-".to_owned(),
        };
        let call = match &self.call {
            Ok(how) => how.clone(),
            Err(error) => format!("**{error}**"),
        };
        [url, if self.seen_by.is_empty() { "-".to_owned() } else { self.seen_by.join(", ") }, read_back, call]
    }
}

impl Pair {
    /// Of these versions.
    pub fn new(ipa: &str, ironic: &str) -> Self {
        Self { ipa: ipa.to_owned(), ironic: ironic.to_owned() }
    }

    /// A node boots with the daemon in this mode.
    ///
    /// # Errors
    /// Where something of the testbed fails, or Ironic records nothing.
    pub fn run(&self, mode: &str, binary: &Path) -> anyhow::Result<Found> {
        let python = RealIronic::install(&self.ironic, &mut |line| eprintln!("ironic: {line}"))?.python();
        RealIpa::install(&self.ipa, &mut |line| eprintln!("ipa: {line}"))?;
        let (node, conductor) = wire()?;
        let options = Options {
            version: self.ironic.clone(),
            bind: [10, 77, 0, 1].into(),
            require_tls: false,
            macs: vec![MAC.to_owned()],
            netns: Some(Arc::clone(&conductor)),
            ..Options::default()
        };
        let ironic = RealIronic::start(&options).context("Ironic")?;
        let directory = Directory::new("versions");
        let mut command = node.command(binary);
        let (mode_flag, place) = (format!("--mode={mode}"), directory.config_dir());
        command.args(Daemon::words(&[mode_flag.as_str(), API_FLAG, place.as_str()]));
        let daemon = Daemon::from_command(command, &node)?;
        let is_written = |state: &Value| text(state, "/dropin/address") == Some(FIRST);
        let state = daemon.wait_state("the drop-in", SOON, is_written)?;
        let acting = text(&state, "/acting_mode").unwrap_or_default();
        ensure!(acting == mode, "it acts as {acting}: {:?}", text(&state, "/guard/off/detail"));
        let decided = text(&state, "/callback_url").unwrap_or_default().to_owned();
        let options = IpaOptions {
            version: self.ipa.clone(),
            cmdline: "ipa-api-url=http://10.77.0.1:6385".to_owned(),
            ..IpaOptions::new(&node, directory.path())
        };
        let ipa = RealIpa::start(&options).context("IPA")?;
        let recorded = recorded(&ironic, &ipa)?;
        let call = call(&ironic, &conductor, &python, &recorded);
        // Without one the cell stays empty.
        let is_read = |state: &Value| text(state, URL_READ_BACK).is_some();
        let read_back = daemon.wait_state("the read-back", READ_BACK, is_read).ok();
        let read_back = read_back.and_then(|state| Some(text(&state, URL_READ_BACK)?.to_owned()));
        let metrics = daemon.get("/metrics")?.text();
        Ok(Found { decided, recorded, seen_by: seen_by(&metrics), read_back, call })
    }
}

/// A text in `/state`.
fn text<'a>(state: &'a Value, pointer: &str) -> Option<&'a str> {
    state.pointer(pointer)?.as_str()
}

/// The node and its conductor on one wire.
fn wire() -> anyhow::Result<(Arc<Netns>, Arc<Netns>)> {
    let (node, conductor) = (Arc::new(Netns::new()?), Arc::new(Netns::new()?));
    node.join(DEVICE, &conductor, "ironic")?;
    node.ip(&format!("link set {DEVICE} address {MAC}"))?;
    node.ip(&format!("addr add {FIRST}/24 dev {DEVICE}"))?;
    conductor.ip("addr add 10.77.0.1/24 dev ironic")?;
    Ok((node, conductor))
}

fn recorded(ironic: &RealIronic, ipa: &RealIpa) -> anyhow::Result<String> {
    let begun = Instant::now();
    loop {
        if let Some(url) = ironic.agent_url()? {
            return Ok(url);
        }
        ensure!(ipa.ended().is_none(), "IPA ended:\n{}", ipa.log_tail(5));
        ensure!(begun.elapsed() < PATIENCE, "Ironic has recorded nothing:\n{}", ipa.log_tail(5));
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// How the conductor's call goes, or why not.
fn call(ironic: &RealIronic, conductor: &Netns, python: &Path, url: &str) -> Result<String, String> {
    let https = url.starts_with("https:");
    let certificate = match https {
        true => ironic.agent_certificate().map_err(|error| error.to_string())?,
        false => Path::new("").to_owned(),
    };
    let mut command = conductor.command(python);
    let output =
        command.args(["-c", CALL, url]).arg(certificate).output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(if https { "https, verified" } else { "http" }.to_owned()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            Err(said.lines().last().unwrap_or_default().replace('|', " "))
        }
    }
}

/// What has seen exchanges of IPA's. Where the metric does not tell, only the guard sees heartbeats.
fn seen_by(metrics: &str) -> Vec<String> {
    let counted = |sample: &str| {
        let start = format!("ipa_sidecar_{sample} ");
        metrics.lines().any(|line| line.strip_prefix(&start).is_some_and(|count| count != "0"))
    };
    if !metrics.contains("exchanges_seen_total") {
        let beats = counted("heartbeats_total{result=\"accepted\",sender=\"ipa\"}");
        return beats.then(|| "guard".to_owned()).into_iter().collect();
    }
    let sees = |name: &&str| counted(&format!("exchanges_seen_total{{seen_by=\"{name}\"}}"));
    ["guard", "sight"].into_iter().filter(sees).map(str::to_owned).collect()
}
