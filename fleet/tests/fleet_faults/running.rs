//! `ipa-fleet run` on loopback.

use std::net::TcpListener;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use testbed::http::{Http, Response};
use testbed::netns::Netns;
use testbed::site::Directory;

use crate::fake::command;

/// For one poll and the pause before it, on a machine with other work.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Running {
    child: Child,
    pub http: Http,
    directory: Directory,
}

impl Running {
    /// Starts it; it need not be up yet.
    pub fn start(ironic: &str, words: &[&str]) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let directory = Directory::new("fleet-run");
        let log = std::fs::File::create(directory.file("log")).unwrap();
        let (url, listen) = (format!("--ironic.url={ironic}"), format!("--web.listen-address={address}"));
        let mut command = command(&[&["run", "--log.level=debug", &url, &listen], words].concat());
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Self { child, http: Http::new(address), directory }
    }

    /// Starts it inside a namespace, on its own port.
    pub fn inside(netns: &Arc<Netns>, ironic: &str) -> Self {
        let directory = Directory::new("fleet-run");
        let log = std::fs::File::create(directory.file("log")).unwrap();
        let mut command = netns.command(env!("CARGO_BIN_EXE_ipa-fleet"));
        command.args(["run", &format!("--ironic.url={ironic}")]);
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Self { child, http: Http::inside(netns, ([127, 0, 0, 1], 10_100).into()), directory }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.file("log")).unwrap()
    }

    pub fn get(&self, path: &str) -> Response {
        self.http.get(path, &[]).unwrap()
    }

    pub fn text(&self, path: &str) -> String {
        self.get(path).text()
    }

    pub fn json(&self, path: &str) -> Value {
        self.get(path).json().unwrap()
    }

    /// A sample without our prefix; `None` where there is none.
    pub fn metric(&self, sample: &str) -> Option<f64> {
        let metrics = self.text("/metrics");
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix("ipa_fleet_")?.strip_prefix(sample)?.strip_prefix(' '));
        line.map(|value| value.parse().unwrap())
    }

    pub fn eventually(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let start = Instant::now();
        while self.http.get("/-/healthy", &[]).is_err() || !holds(self) {
            assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn ready(self) -> Self {
        self.eventually("ready", |running| running.get("/-/ready").status == 200);
        self
    }

    /// SIGTERM; how it ended.
    pub fn terminate(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        let _ = std::process::Command::new("kill").arg(pid).status();
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
