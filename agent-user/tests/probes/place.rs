//! A node, and behind its router everything that can go wrong with a connect. What the tests of the probes share.
#![cfg_attr(not(feature = "ebpf"), allow(dead_code))] // Most is for the probes.

use std::ffi::CStr;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use serde_json::Value;
use testbed::daemon::Daemon;
use testbed::netns::Netns;
pub use testbed::site::{SOON, assert_names, wait_until};
use testbed::site::{binary, under};

/// The node.
pub const NODE: [&str; 2] = ["10.78.0.5", "fd78::5"];
/// Its router, on which nothing listens.
pub const ROUTER: [&str; 2] = ["10.78.0.1", "fd78::1"];
/// The flag for an API on it.
pub const API: &str = "--ironic.api-url=http://10.78.0.1:6385";
/// The router answers "unreachable" by ICMP.
pub const UNREACHABLE_BEHIND: [&str; 2] = ["198.51.100.1", "fd78:1::1"];
/// The router drops it.
pub const SILENT: [&str; 2] = ["198.51.100.2", "fd78:2::1"];
/// The node itself has such a route.
pub const UNREACHABLE_HERE: [&str; 2] = ["198.51.100.3", "fd78:3::1"];
/// See [`UNREACHABLE_HERE`].
pub const BLACKHOLE: [&str; 2] = ["198.51.100.4", "fd78:4::1"];
/// See [`UNREACHABLE_HERE`].
pub const PROHIBITED: [&str; 2] = ["198.51.100.5", "fd78:5::1"];
/// No route leads there.
pub const NO_ROUTE: [&str; 2] = ["192.0.2.1", "fd99::1"];

/// The two families, as indexes of the addresses above.
pub const FAMILIES: [usize; 2] = [0, 1];

/// The probes see every namespace of the machine. A test that floods them, or whose probes cannot tell namespaces apart,
/// has the machine for itself.
static MACHINE: RwLock<()> = RwLock::new(());

/// How a test has the machine.
pub enum Machine {
    Shared { _guard: RwLockReadGuard<'static, ()> },
    Alone { _guard: RwLockWriteGuard<'static, ()> },
}

/// Beside other tests.
pub fn shared() -> Machine {
    Machine::Shared { _guard: MACHINE.read().unwrap_or_else(PoisonError::into_inner) }
}

/// A node and its router.
pub struct Place {
    pub node: Arc<Netns>,
    pub router: Arc<Netns>,
    _machine: Machine,
}

impl Place {
    pub fn new() -> Self {
        Self::on(shared())
    }

    /// With the daemon and its probes.
    pub fn probed() -> (Self, Daemon) {
        let place = Self::new();
        let daemon = place.daemon(&[]);
        (place, daemon)
    }

    /// No other test of the probes runs meanwhile.
    pub fn alone() -> Self {
        Self::on(Machine::Alone { _guard: MACHINE.write().unwrap_or_else(PoisonError::into_inner) })
    }

    fn on(machine: Machine) -> Self {
        let (node, router) = (Arc::new(Netns::new().unwrap()), Arc::new(Netns::new().unwrap()));
        for sysctl in ["net/ipv6/conf/all/accept_dad", "net/ipv6/conf/default/accept_dad"] {
            node.sysctl(sysctl, "0").unwrap();
            router.sysctl(sysctl, "0").unwrap();
        }
        router.sysctl("net/ipv4/ip_forward", "1").unwrap();
        router.sysctl("net/ipv6/conf/all/forwarding", "1").unwrap();
        // An unanswered connect ends after 1 + 2 s.
        node.sysctl("net/ipv4/tcp_syn_retries", "1").unwrap();
        // Each refusal of the router's is one of the test's.
        for limit in ["net/ipv4/icmp_ratelimit", "net/ipv6/icmp/ratelimit"] {
            router.sysctl(limit, "0").unwrap();
        }
        node.join("wire", &router, "wire").unwrap();
        for (length, family) in [(24, 0), (64, 1)] {
            node.ip(&format!("addr add {}/{length} dev wire nodad", NODE[family])).unwrap();
            router.ip(&format!("addr add {}/{length} dev wire nodad", ROUTER[family])).unwrap();
            for behind in [UNREACHABLE_BEHIND, SILENT] {
                node.ip(&format!("route add {} via {}", behind[family], ROUTER[family])).unwrap();
            }
            router.ip(&format!("route add unreachable {}", UNREACHABLE_BEHIND[family])).unwrap();
            router.ip(&format!("route add blackhole {}", SILENT[family])).unwrap();
            for (kind, to) in
                [("unreachable", UNREACHABLE_HERE), ("blackhole", BLACKHOLE), ("prohibit", PROHIBITED)]
            {
                node.ip(&format!("route add {kind} {}", to[family])).unwrap();
            }
        }
        Self { node, router, _machine: machine }
    }

    /// The daemon in mode observe with the probes that it can have. Its API is the router, port 6385.
    pub fn daemon(&self, flags: &[&str]) -> Daemon {
        let api = format!("--ironic.api-url=http://{}:6385,http://[{}]:6385", ROUTER[0], ROUTER[1]);
        let flags = [&[api.as_str()], flags].concat();
        let daemon = Daemon::start(binary(), &self.node, &flags).unwrap();
        wait_started(&daemon);
        daemon
    }

    /// The daemon behind another program: `words` end where `ipa-sidecar` begins.
    pub fn daemon_under(&self, words: &[&str], flags: &[&str]) -> Daemon {
        let mut command = under(&self.node, words);
        command.args(Daemon::words(flags));
        let daemon = Daemon::from_command(command, &self.node).unwrap();
        wait_started(&daemon);
        daemon
    }

    /// Connects from a thread of the node's, named like the case.
    pub fn attempt(&self, name: &CStr, peer: SocketAddr, how: How) -> Attempt {
        self.node.enter(|| attempt(name, peer, how)).unwrap()
    }
}

/// By its log: asking for a page before it listens would be a failed connect itself.
fn wait_started(daemon: &Daemon) {
    daemon.wait_log("generation=", SOON).unwrap();
    daemon.wait_state("the probes", SOON, |_| true).unwrap();
}

/// How an application connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Blocking,
    /// As event loops do: connect, wait, ask for the socket's error.
    NonBlocking,
}

/// What the application saw.
#[derive(Debug)]
pub struct Attempt {
    /// 0 for success.
    pub errno: i32,
    pub took: Duration,
}

/// Connects from the calling thread.
pub fn attempt(name: &CStr, peer: SocketAddr, how: How) -> Attempt {
    rustix::thread::set_name(name).unwrap();
    let started = Instant::now();
    let result = match how {
        How::Blocking => TcpStream::connect(peer),
        How::NonBlocking => TcpStream::connect_timeout(&peer, Duration::from_secs(60)),
    };
    let errno = result.err().map_or(0, |error| error.raw_os_error().unwrap_or(-1));
    Attempt { errno, took: started.elapsed() }
}

/// `/state`, what it says of the probes.
pub fn probes(daemon: &Daemon) -> Value {
    daemon.state().map(|state| state["probes"].clone()).unwrap_or_default()
}

/// The failed connects to this peer that are still kept.
pub fn failures_to(daemon: &Daemon, peer: SocketAddr) -> Vec<Value> {
    let peer = peer.to_string();
    let state = probes(daemon);
    let all = state["connect_failures"].as_array().cloned().unwrap_or_default();
    all.into_iter().filter(|failure| failure["peer"] == peer.as_str()).collect()
}

/// Waits for the one failed connect to this peer.
pub fn failure_to(daemon: &Daemon, peer: SocketAddr) -> Value {
    let what = format!("a failure to {peer}");
    daemon.wait(&what, SOON, || failures_to(daemon, peer).pop()).unwrap()
}

/// The sum over all samples of `connect_failures_total`.
pub fn failures_total(daemon: &Daemon) -> f64 {
    let text = daemon.get("/metrics").unwrap().text();
    let samples = text.lines().filter(|line| line.starts_with("ipa_sidecar_connect_failures_total{"));
    samples.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

/// What `/state` says of one probe: `None` for attached, else the reason.
pub fn reason(daemon: &Daemon, probe: &str) -> Option<String> {
    let state = probes(daemon);
    let list = state["list"].as_array().unwrap();
    let found =
        list.iter().find(|entry| entry["probe"] == probe).unwrap_or_else(|| panic!("no {probe}: {state}"));
    assert_eq!(found["attached"], found["reason"].is_null(), "{found}");
    let reason = found["reason"].as_str().map(str::to_owned);
    let attached = daemon.metric(&format!("probe_attached{{probe=\"{probe}\"}}")).unwrap();
    assert_eq!(attached, Some(f64::from(u8::from(reason.is_none()))), "{probe}");
    let info = match &reason {
        Some(reason) => format!("probe_unavailable_info{{probe=\"{probe}\",reason=\"{reason}\"}}"),
        None => {
            let path = found["path"].as_str().unwrap_or_else(|| panic!("no path: {found}"));
            format!("probe_path_info{{path=\"{path}\",probe=\"{probe}\"}}")
        }
    };
    assert_eq!(daemon.metric(&info).unwrap(), Some(1.0), "{info}");
    reason
}

/// Whether connects that fail before their SYN are seen, which takes trampolines.
pub fn sees_calls(daemon: &Daemon) -> bool {
    let missing = reason(daemon, "connect_call");
    assert!(matches!(missing.as_deref(), None | Some("no_trampoline")), "{missing:?}");
    missing.is_none()
}

/// Runs `ipa-sidecar doctor --json` behind another program; gives its checks by name.
pub fn doctor(place: &Place, words: &[&str], flags: &[&str]) -> Vec<(String, Value)> {
    let mut command = under(&place.node, words);
    command.args(["doctor", "--json", "--no-vmedia", "--cmdline.path=/dev/null"]).args(flags);
    let answer = String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned();
    let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"));
    let checks = answer["checks"].as_array().unwrap();
    checks.iter().map(|check| (check["name"].as_str().unwrap().to_owned(), check.clone())).collect()
}
