//! A real Ironic in a namespace, a ramdisk that is only played, and the program that looks at both.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testbed::http::Http;
use testbed::ironic::{Auth, Options, RealIronic, VERSION_HEADER};
use testbed::netns::Netns;
use testbed::run::Run;
use testbed::site::Directory;

/// The seed's URL, and what it was meant to be.
pub const SEED: &str = "http://172.25.134.128%20uid%200:9999";
pub const MEANT: &str = "http://172.25.134.128:9999";
/// For anything of Ironic's, on a machine with other work.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// From a heartbeat to where it shows.
pub const SHOWN: Duration = Duration::from_secs(30);

/// Runs `ipa-fleet WORDS` inside the namespace, with these variables.
pub fn fleet(netns: &Netns, words: &[&str], variables: &[(&str, &str)]) -> Run {
    let mut command = netns.command(env!("CARGO_BIN_EXE_ipa-fleet"));
    for name in ["OS_CLOUD", "OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD"] {
        command.env_remove(name);
    }
    command.args(words).envs(variables.iter().copied());
    command.output().unwrap().into()
}

/// A real Ironic on loopback of a new namespace, which commands its agents and takes plain http from them.
pub fn ironic(auth: Auth, netns: &Arc<Netns>) -> RealIronic {
    let netns = Some(Arc::clone(netns));
    let options = Options { auth, netns, fast_track: false, require_tls: false, ..Options::default() };
    RealIronic::start(&Options { power_sync: 5, ..options }).unwrap()
}

/// Plays a ramdisk: looks itself up and sends one heartbeat with this URL.
pub fn heartbeat(ironic: &RealIronic, url: &str) -> String {
    heartbeat_from(ironic.http(), ironic, url)
}

/// The same from another place.
pub fn heartbeat_from(http: &Http, ironic: &RealIronic, url: &str) -> String {
    let mac = &Options::default().macs[0];
    let path = format!("/v1/lookup?addresses={mac}");
    let answer = http.get(&path, &[(VERSION_HEADER, "1.62"), ("Accept", "application/json")]).unwrap();
    let token = answer.json().unwrap()["config"]["agent_token"].as_str().unwrap().to_owned();
    let body = json!({"callback_url": url, "agent_token": token, "agent_version": "13.0.0"});
    let path = format!("/v1/heartbeat/{}", ironic.node_uuid());
    let answer = http.post(&path, &[(VERSION_HEADER, "1.68")], &body).unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text());
    token
}

pub fn eventually(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The seed's flow: a bad URL in clean wait, Ironic gives up, and all but the history forgets.
pub fn seed_flow(ironic: &RealIronic) -> String {
    ironic.clean_wait().unwrap();
    let token = heartbeat(ironic, SEED);
    let node = || ironic.node().unwrap();
    eventually("clean failed", PATIENCE, || node()["provision_state"] == "clean failed");
    eventually("agent_url is gone", PATIENCE, || ironic.agent_url().unwrap().is_none());
    eventually("last_error is gone", PATIENCE, || node()["last_error"].is_null());
    token
}

/// A server that ends with its owner.
pub struct Service(std::process::Child);

impl Service {
    /// Starts `ipa-fleet run` on its own port inside the namespace.
    pub fn fleet(netns: &Netns, words: &[&str]) -> Self {
        let mut command = netns.command(env!("CARGO_BIN_EXE_ipa-fleet"));
        command.arg("run").args(words);
        Self::start(command)
    }

    pub fn start(mut command: std::process::Command) -> Self {
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where `ipa-fleet run` listens by default.
pub fn fleets_pages(netns: &Arc<Netns>) -> Http {
    Http::inside(netns, ([127, 0, 0, 1], 10_100).into())
}

/// A text of its pages; empty where it does not answer.
pub fn text(http: &Http, path: &str) -> String {
    http.get(path, &[]).map(|answer| answer.text()).unwrap_or_default()
}

pub fn is_ready(http: &Http) -> bool {
    http.get("/-/ready", &[]).is_ok_and(|answer| answer.status == 200)
}

/// A real Prometheus with the project's own example, which finds its targets at `sd`. Its pages are on port 9090.
pub fn prometheus(netns: &Arc<Netns>, directory: &Directory, sd: &str) -> Service {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards");
    let read = |name| std::fs::read_to_string(example.join(name)).unwrap();
    directory.write("alerts.yml", read("alerts.yml"));
    let (theirs, text) = ("http://127.0.0.1:10100/sd", read("prometheus.yml"));
    assert!(text.contains(theirs), "{text}");
    directory.write("prometheus.yml", text.replace(theirs, sd));
    let mut command = netns.command("prometheus");
    command
        .arg(format!("--config.file={}", directory.file("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", directory.file("data").display()))
        .arg("--web.listen-address=127.0.0.1:9090")
        .stderr(std::fs::File::create(directory.file("log")).unwrap());
    Service::start(command)
}

/// What it answers to a query.
pub fn ask(prometheus: &Http, query: &str) -> Vec<Value> {
    let answer =
        prometheus.get(&format!("/api/v1/query?query={query}"), &[]).and_then(|answer| answer.json());
    answer.map(|answer| answer["data"]["result"].as_array().cloned().unwrap_or_default()).unwrap_or_default()
}
