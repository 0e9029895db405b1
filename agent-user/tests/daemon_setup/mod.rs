//! A node and its conductor: two namespaces, one wire. What the tests of the daemon share.
#![allow(dead_code)] // Each test binary uses its part.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use testbed::daemon::Daemon;
use testbed::netns::Netns;
use testbed::stand_in::{Behaviour, Recorded, StandIn};

/// The daemon under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_ipa-sidecar");
/// The node's device: a lookup counts names that end like a VLAN's as NICs.
pub const DEVICE: &str = "eth0.77";
/// The MAC of it.
pub const MAC: &str = "52:54:00:aa:00:01";
/// The node's first and second address.
pub const FIRST: &str = "10.77.0.5";
/// See [`FIRST`].
pub const SECOND: &str = "10.77.0.6";
/// Where the stand-in listens.
pub const API: &str = "10.77.0.1:6385";
/// The flag for it.
pub const API_FLAG: &str = "--ironic.api-url=http://10.77.0.1:6385";
/// The callback URL of [`FIRST`].
pub const FIRST_URL: &str = "http://10.77.0.5:9999";
/// The callback URL of [`SECOND`].
pub const SECOND_URL: &str = "http://10.77.0.6:9999";
/// Long enough for a busy machine; what has to be fast is measured.
pub const SOON: Duration = Duration::from_secs(10);
/// An answer that needs a next heartbeat or a retry.
pub const LATER: Duration = Duration::from_secs(30);
/// A token that the operator hands out.
pub const TOKEN: &str = "handed-out-0123456789-abcdefghijklmnopqrstu";

/// Heartbeats that Ironic accepted.
pub const ACCEPTED: &str = r#"heartbeats_total{result="accepted",sender="sidecar"}"#;
/// Heartbeat although nothing listens on the agent's port.
pub const WITHOUT_LISTENER: &str = "--agent.without-listener";

/// Ironic knows the node by its MAC.
pub fn node_with_mac() -> Behaviour {
    Behaviour { macs: vec![MAC.to_owned()], ..Behaviour::default() }
}

/// The next heartbeat comes as soon as the least gap allows, after 5 s.
pub fn fast() -> Behaviour {
    Behaviour { heartbeat_timeout: 10, ..node_with_mac() }
}

/// The operator has handed out [`TOKEN`].
pub fn pregenerated() -> Behaviour {
    Behaviour { pregenerated_token: Some(TOKEN.to_owned()), ..node_with_mac() }
}

/// The node and its conductor.
pub struct Site {
    pub node: Arc<Netns>,
    pub conductor: Arc<Netns>,
}

impl Site {
    /// Both on one wire; the node has no address yet.
    pub fn bare() -> Self {
        let (node, conductor) = (Arc::new(Netns::new().unwrap()), Arc::new(Netns::new().unwrap()));
        node.join(DEVICE, &conductor, "ironic").unwrap();
        node.ip(&format!("link set {DEVICE} address {MAC}")).unwrap();
        conductor.ip("addr add 10.77.0.1/24 dev ironic").unwrap();
        // Else the end of the first address takes the second one along.
        node.sysctl("net/ipv4/conf/all/promote_secondaries", "1").unwrap();
        Self { node, conductor }
    }

    /// The node has its first address.
    pub fn new() -> Self {
        let site = Self::bare();
        site.add(FIRST);
        site
    }

    pub fn add(&self, address: &str) {
        self.node.ip(&format!("addr add {address}/24 dev {DEVICE}")).unwrap();
    }

    pub fn remove(&self, address: &str) {
        self.node.ip(&format!("addr del {address}/24 dev {DEVICE}")).unwrap();
    }

    /// Makes the kernel send from this address.
    pub fn prefer(&self, address: &str) {
        let route = format!("route replace 10.77.0.0/24 dev {DEVICE} proto kernel scope link src {address}");
        self.node.ip(&route).unwrap();
    }

    /// The node's wire is pulled, or put back.
    pub fn carrier(&self, there: bool) {
        let word = if there { "up" } else { "down" };
        self.conductor.ip(&format!("link set ironic {word}")).unwrap();
    }

    /// A stand-in Ironic on the conductor.
    pub fn ironic(&self, behaviour: Behaviour) -> StandIn {
        let listener = self.conductor.enter(|| TcpListener::bind(API).unwrap()).unwrap();
        StandIn::start(listener, behaviour).unwrap()
    }

    /// Something that listens on the agent's port, and does nothing else.
    pub fn listen(&self, address: &str) -> TcpListener {
        self.node.enter(|| TcpListener::bind(address).unwrap()).unwrap()
    }

    pub fn daemon(&self, flags: &[&str]) -> Daemon {
        Daemon::start(BINARY, &self.node, flags).unwrap()
    }

    /// Agent mode towards the stand-in.
    pub fn agent(&self, flags: &[&str]) -> Daemon {
        let mut all = vec!["--mode=agent", API_FLAG];
        all.extend(flags);
        self.daemon(&all)
    }

    /// The daemon with a kernel command line, and with variables of its own.
    pub fn daemon_with(&self, cmdline: &Path, variables: &[(&str, &Path)], flags: &[&str]) -> Daemon {
        let mut command = self.node.command(BINARY);
        command.args(["run", "--no-vmedia", "--web.listen-address=127.0.0.1:10099"]);
        command.arg(format!("--cmdline.path={}", cmdline.display()));
        command.args(flags).envs(variables.iter().copied());
        Daemon::from_command(command, &self.node).unwrap()
    }

    /// Runs a shell script in a mount namespace of its own inside the node; it has to end in `exec "$@"`, which is the
    /// daemon with these flags.
    pub fn daemon_after(&self, script: &str, flags: &[&str]) -> Daemon {
        let mut command = self.node.command("unshare");
        command.args(["--mount", "--propagation", "private", "--", "sh", "-ec", script, "sh"]);
        command.args([BINARY, "run"]).args(Daemon::isolation()).args(flags);
        Daemon::from_command(command, &self.node).unwrap()
    }
}

/// The heartbeats that reached Ironic.
pub fn beats(ironic: &StandIn) -> Vec<Recorded> {
    let is_beat = |request: &Recorded| request.path().starts_with("/v1/heartbeat/");
    ironic.requests().into_iter().filter(is_beat).collect()
}

/// Their callback URLs.
pub fn beat_urls(ironic: &StandIn) -> Vec<String> {
    let url = |beat: Recorded| beat.json()["callback_url"].as_str().unwrap().to_owned();
    beats(ironic).into_iter().map(url).collect()
}

/// Waits until so many heartbeats have reached Ironic.
pub fn wait_beats(daemon: &Daemon, ironic: &StandIn, count: usize, limit: Duration) {
    let enough = || (beats(ironic).len() >= count).then_some(());
    daemon.wait(&format!("{count} heartbeats"), limit, enough).unwrap();
}

/// Waits until a sample is this.
pub fn wait_metric(daemon: &Daemon, sample: &str, value: f64, limit: Duration) {
    let is_so = || (daemon.metric(sample).ok()? == Some(value)).then_some(());
    daemon.wait(&format!("{sample} {value}"), limit, is_so).unwrap();
}

/// Waits for a phase of agent mode.
pub fn wait_phase(daemon: &Daemon, phase: &str) -> Value {
    daemon.wait_state(phase, LATER, |state| state["agent"]["phase"] == phase).unwrap()
}

/// Status and text of `/-/ready`.
pub fn ready(daemon: &Daemon) -> (u16, String) {
    let answer = daemon.get("/-/ready").unwrap();
    (answer.status, answer.text())
}

/// It ends well and soon.
pub fn assert_ends(daemon: &mut Daemon, state: &str) {
    let (status, time) = daemon.terminate().unwrap();
    assert_eq!(status.code(), Some(0), "{state}: {status}\n{}", daemon.log());
    assert!(time < Duration::from_secs(2), "{state}: {time:?}");
}

/// Sends bytes from inside a namespace and reads the answer until its end.
pub fn raw(netns: &Netns, address: &str, request: &str) -> std::io::Result<String> {
    netns.enter(|| {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    })?
}

/// A directory that goes with its owner.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ipa-sidecar-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file, and gives `FLAG=its path`.
    pub fn flag(&self, flag: &str, name: &str, content: &str) -> String {
        std::fs::write(self.file(name), content).unwrap();
        format!("{flag}={}", self.file(name).display())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Answers `GET /v1/status` as ironic-python-agent does, until it is dropped.
pub struct FakeIpa {
    listener: TcpListener,
    thread: Option<JoinHandle<()>>,
}

impl FakeIpa {
    pub fn start(netns: &Netns, address: &str) -> Self {
        let listener = netns.enter(|| TcpListener::bind(address).unwrap()).unwrap();
        let accepting = listener.try_clone().unwrap();
        let thread = std::thread::spawn(move || {
            while let Ok((mut stream, _)) = accepting.accept() {
                let mut head = [0; 2048];
                let length = stream.read(&mut head).unwrap_or(0);
                if head[..length].starts_with(b"GET /v1/status ") {
                    let body = r#"{"started_at": 1.0, "version": "13.0.0"}"#;
                    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
                    let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
                }
            }
        });
        Self { listener, thread: Some(thread) }
    }
}

impl Drop for FakeIpa {
    fn drop(&mut self) {
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
