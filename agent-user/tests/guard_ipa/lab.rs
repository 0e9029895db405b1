//! A node and a server joined by a veth pair: Ironic on the server, sidecar and IPA on the node.

use std::cell::RefCell;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use testbed::cache;
use testbed::daemon::Daemon;
use testbed::http::Http;
use testbed::ipa::{IpaOptions, RealIpa};
use testbed::ironic::{self, Options, RealIronic};
use testbed::netns::Netns;

pub const SIDECAR: &str = env!("CARGO_BIN_EXE_ipa-sidecar");
pub const MAC: &str = "52:54:00:aa:00:01";
pub const API: &str = "http://10.77.0.1:6385";
pub const URL: &str = "https://10.77.0.2:9999";
pub const GUARD: &str = "http://127.0.0.1:6385";
pub const DROP_IN: &str = "zz-ipa-sidecar.conf";
/// What IPA logs when its request to an API URL got no answer.
pub const NEXT_URL: &str = "trying the next URL";
/// Ironic's heartbeat timeout, in seconds: IPA's beats come every 3 to 6 s, after a failure every 5 to 10 s.
const HEARTBEAT_TIMEOUT: u32 = 10;
/// For anything of IPA's or Ironic's, on a machine with other work.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often Ironic is asked what is waited for.
const POLL: Duration = Duration::from_millis(200);

/// What differs from one test to another.
pub struct Setup {
    pub bind: IpAddr,
    pub require_tls: bool,
    /// The node has its addresses from the start.
    pub addressed: bool,
    /// The API's URL on the kernel command line.
    pub api_url: &'static str,
    /// More words of the kernel command line.
    pub cmdline: &'static str,
    /// The hosts file of IPA and sidecar.
    pub hosts: &'static str,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            bind: IpAddr::from([10, 77, 0, 1]),
            require_tls: true,
            addressed: true,
            api_url: API,
            cmdline: "",
            hosts: "127.0.0.1 localhost",
        }
    }
}

pub struct Lab {
    pub server: Arc<Netns>,
    pub node: Arc<Netns>,
    pub ironic: RealIronic,
    setup: Setup,
    directory: PathBuf,
    started: Instant,
    /// Every token that Ironic has given out.
    tokens: RefCell<Vec<String>>,
}

impl Lab {
    pub fn new(name: &str, setup: Setup) -> Self {
        let started = Instant::now();
        let (server, node) = (Arc::new(Netns::new().unwrap()), Arc::new(Netns::new().unwrap()));
        // A veth passes for a NIC by the form of its name only.
        node.join("eth0.77", &server, "server").unwrap();
        server.ip_lines("addr add 10.77.0.1/24 dev server\naddr add fd77::1/64 dev server nodad").unwrap();
        node.ip(&format!("link set eth0.77 address {MAC}")).unwrap();
        let options = Options {
            bind: setup.bind,
            require_tls: setup.require_tls,
            heartbeat_timeout: HEARTBEAT_TIMEOUT,
            macs: vec![MAC.to_owned()],
            netns: Some(Arc::clone(&server)),
            ..Options::default()
        };
        let ironic = RealIronic::start(&options).unwrap();
        let directory = std::env::temp_dir().join(format!("guard-ipa-{name}-{}", std::process::id()));
        for part in ["etc", "config"] {
            fs::create_dir_all(directory.join(part)).unwrap();
        }
        fs::write(directory.join("etc/hosts"), format!("{}\n", setup.hosts)).unwrap();
        fs::write(directory.join("etc/resolv.conf"), "").unwrap();
        let lab = Self { server, node, ironic, setup, directory, started, tokens: RefCell::default() };
        fs::write(lab.directory.join("cmdline"), lab.cmdline()).unwrap();
        if lab.setup.addressed {
            lab.add_addresses();
        }
        lab
    }

    pub fn add_addresses(&self) {
        self.node
            .ip_lines("addr add 10.77.0.2/24 dev eth0.77\naddr add fd77::2/64 dev eth0.77 nodad")
            .unwrap();
    }

    fn cmdline(&self) -> String {
        let Setup { api_url, cmdline, .. } = self.setup;
        format!("BOOT_IMAGE=testbed ipa-api-url={api_url} {cmdline} quiet")
    }

    pub fn etc(&self) -> PathBuf {
        self.directory.join("etc")
    }

    /// IPA's configuration directory.
    pub fn config(&self) -> PathBuf {
        self.directory.join("config")
    }

    pub fn drop_in(&self) -> Option<String> {
        fs::read_to_string(self.config().join(DROP_IN)).ok()
    }

    /// The sidecar in mode guard, at log level trace, with an /etc of its own. It has what IPA has: the same kernel
    /// command line and the same configuration directory.
    pub fn sidecar(&self) -> Daemon {
        self.sidecar_with(&[], &[])
    }

    pub fn sidecar_with(&self, flags: &[&str], environment: &[(&str, &str)]) -> Daemon {
        let replaced = ["--cmdline.path", "--log.level"];
        let isolation =
            Daemon::isolation().iter().filter(|flag| !replaced.iter().any(|name| flag.starts_with(name)));
        let mut command: Command = self.node.command("unshare");
        command
            .args(["--mount", "--propagation", "private", "--", "sh", "-c"])
            .arg("mount --bind \"$0\" /etc && exec \"$@\"")
            .arg(self.etc())
            .args([SIDECAR, "run", "--mode=guard", "--log.level=trace"])
            .args(isolation)
            .arg(format!("--cmdline.path={}", self.directory.join("cmdline").display()))
            .arg(format!("--ipa.config-dir={}", self.config().display()))
            .arg("--ipa.api-url-list=always") // IPA is in an environment of its own, where nobody looks for it.
            .args(flags)
            .envs(environment.iter().copied());
        Daemon::from_command(command, &self.node).unwrap()
    }

    /// The sidecar, once IPA may start.
    pub fn sidecar_with_drop_in(&self) -> Daemon {
        let sidecar = self.sidecar();
        sidecar.wait_log("IPA's drop-in changed", PATIENCE).unwrap();
        sidecar
    }

    pub fn ipa(&self) -> RealIpa {
        let mut options = IpaOptions::new(&self.node, self.config());
        options.cmdline = self.cmdline();
        options.hosts = Some(self.setup.hosts.to_owned());
        options.resolv_conf = Some(String::new());
        RealIpa::start(&options).unwrap()
    }

    /// Asks the guard, as a process on the node.
    pub fn guard(&self) -> Http {
        Http::inside(&self.node, SocketAddr::from(([127, 0, 0, 1], 6385)))
    }

    pub fn recorded(&self) -> Option<String> {
        self.ironic.agent_url().unwrap()
    }

    /// Waits until Ironic has recorded a URL, and demands that it is the right one.
    pub fn wait_right(&self, ipa: &RealIpa) {
        let start = Instant::now();
        while self.recorded().is_none() {
            assert_eq!(ipa.ended(), None);
            let log = || ipa.log_tail(40);
            assert!(start.elapsed() < PATIENCE, "no URL is recorded:\n{}", log());
            sleep(POLL);
        }
        assert_eq!(self.recorded().as_deref(), Some(URL));
    }

    /// Waits until Ironic has recorded a heartbeat after that of time `last`; gives its time.
    fn wait_beat(&self, last: Option<&str>, ipa: &RealIpa) -> String {
        let start = Instant::now();
        loop {
            let beat = self.ironic.agent_last_heartbeat().unwrap();
            match beat {
                Some(beat) if Some(beat.as_str()) != last => {
                    assert_eq!(ipa.ended(), None);
                    return beat;
                }
                _ => {
                    assert!(start.elapsed() < PATIENCE, "no heartbeat after {last:?}:\n{}", ipa.log_tail(40))
                }
            }
            sleep(POLL);
        }
    }

    /// Waits for `count` more heartbeats; gives the time of the last.
    pub fn wait_beats(&self, count: usize, ipa: &RealIpa) -> String {
        let mut last = self.ironic.agent_last_heartbeat().unwrap();
        for _ in 0..count {
            last = Some(self.wait_beat(last.as_deref(), ipa));
        }
        last.unwrap()
    }

    /// The token that Ironic has given to IPA, which its API never shows.
    pub fn token(&self) -> Option<String> {
        let script = "import json, sqlite3, sys\n\
            database = sqlite3.connect(f'file:{sys.argv[1]}?mode=ro', uri=True, timeout=30)\n\
            text, = database.execute('select driver_internal_info from nodes').fetchone()\n\
            print(json.loads(text or '{}').get('agent_secret_token', ''))";
        let database = self.ironic.log_path().with_file_name("ironic.sqlite");
        let mut command = Command::new(ironic_python());
        let said = said(command.args(["-c", script]).arg(database));
        let token = Some(said.trim().to_owned()).filter(|token| !token.is_empty());
        if let Some(token) = &token {
            assert_eq!(token.len(), 43, "not as Ironic makes them");
            self.tokens.borrow_mut().push(token.clone());
        }
        token
    }

    /// What Ironic's conductor does to see whether a command of its agent has ended: its own client, its own database,
    /// the URL and the certificate that it has pinned, from its own namespace. Gives the URL and the answer.
    pub fn conductor_asks(&self) -> (String, Value) {
        let script = "import json, sys\n\
            from ironic.common import service\n\
            service.prepare_command(['ironic', '--config-file', sys.argv[1]])\n\
            from ironic import objects\n\
            from ironic.common import context\n\
            from ironic.drivers.modules import agent_client\n\
            node = objects.Node.get_by_uuid(context.get_admin_context(), sys.argv[2])\n\
            client = agent_client.AgentClient()\n\
            assert client._get_verify(node).endswith('.crt'), client._get_verify(node)\n\
            answer = client.get_commands_status(node, retry_connection=False)\n\
            print(json.dumps([node.driver_internal_info['agent_url'], answer]))";
        let config = self.ironic.log_path().with_file_name("ironic.conf");
        let mut command = self.server.command(ironic_python());
        let said = said(command.args(["-c", script]).arg(config).arg(self.ironic.node_uuid()));
        let last = said.lines().last().unwrap_or_default();
        let answer: Value = serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {said}"));
        (answer[0].as_str().unwrap().to_owned(), answer[1].clone())
    }

    /// Demands that no token shows in anything that the sidecar tells. Ask before its end for what it serves.
    pub fn assert_secret(&self, sidecar: &Daemon) {
        self.token();
        let log = sidecar.log();
        assert!(log.contains("started"), "{log}");
        let mut told = vec![("log", log)];
        for path in ["/state", "/", "/metrics", "/-/ready"] {
            // An ended one serves nothing.
            told.extend(sidecar.get(path).ok().map(|answer| (path, answer.text())));
        }
        let tokens = self.tokens.borrow();
        assert!(!tokens.is_empty(), "Ironic has given out no token");
        for (place, text) in &told {
            for token in tokens.iter() {
                assert!(!text.contains(token.as_str()), "the token is in {place}");
            }
        }
    }

    /// Prints what a test found, with its time.
    pub fn tell(&self, what: &str) {
        println!("[{:5.1} s] {what}", self.started.elapsed().as_secs_f64());
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

pub fn metric(sidecar: &Daemon, sample: &str) -> f64 {
    sidecar.metric(sample).unwrap().unwrap_or_default()
}

/// Heartbeats of IPA's that passed the guard and were accepted.
pub fn accepted(sidecar: &Daemon) -> f64 {
    metric(sidecar, "heartbeats_total{result=\"accepted\",sender=\"ipa\"}")
}

/// Waits for another heartbeat of IPA's through the guard.
pub fn wait_accepted(sidecar: &Daemon) {
    let before = accepted(sidecar);
    sidecar
        .wait("another heartbeat through the guard", PATIENCE, || (accepted(sidecar) > before).then_some(()))
        .unwrap();
}

fn ironic_python() -> PathBuf {
    let name = format!("ironic-{}/venv/bin/python", ironic::VERSION);
    cache::directory().unwrap().join(name)
}

fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {complained}");
    String::from_utf8(output.stdout).unwrap()
}
