//! A machine in a network namespace: its NICs, its /etc, `explain` and the daemon inside.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use testbed::daemon::Daemon;
use testbed::netns::Netns;
use testbed::site::{Directory, binary};

/// Keeps this machine's own parameters out: a regular file that everyone may read and that holds no parameter.
const CMDLINE: &str = "--cmdline.path=/proc/sys/kernel/ostype";

/// A namespace with two NICs that have carrier; `n0` and `m0` are ours, `n1` and `m1` the other ends.
pub fn two_nics() -> Arc<Netns> {
    let netns = Netns::new().unwrap();
    for (ours, other) in [("n0", "n1"), ("m0", "m1")] {
        add_nic(&netns, ours, other);
    }
    Arc::new(netns)
}

/// One more pair.
pub fn add_nic(netns: &Netns, ours: &str, other: &str) {
    netns
        .ip_lines(&format!(
            "link add {ours} type veth peer name {other}
             link set {ours} up
             link set {other} up"
        ))
        .unwrap();
}

/// Two NICs with an address of each family each, and a default route over `n0`: 10.0.0.2 and fd00::2 on `n0`,
/// 10.1.0.2 and fd01::2 on `m0`.
pub fn addressed() -> Arc<Netns> {
    prepared(
        two_nics(),
        "addr add 10.0.0.2/24 dev n0
         addr add fd00::2/64 dev n0 nodad
         addr add 10.1.0.2/24 dev m0
         addr add fd01::2/64 dev m0 nodad
         route add default via 10.0.0.1 dev n0
         route add default via fd00::1 dev n0",
    )
}

/// The same without IPv6, whose duplicate address detection sends messages of its own a while after the start.
pub fn addressed_without_ipv6() -> Arc<Netns> {
    let netns = Netns::new().unwrap();
    for scope in ["all", "default"] {
        netns.sysctl(&format!("net/ipv6/conf/{scope}/disable_ipv6"), "1").unwrap();
    }
    for (ours, other) in [("n0", "n1"), ("m0", "m1")] {
        add_nic(&netns, ours, other);
    }
    netns
        .ip_lines(
            "addr add 10.0.0.2/24 dev n0
             addr add 10.1.0.2/24 dev m0
             route add default via 10.0.0.1 dev n0",
        )
        .unwrap();
    Arc::new(netns)
}

/// The namespace after these commands of `ip`, one a line.
pub fn prepared(netns: Arc<Netns>, lines: &str) -> Arc<Netns> {
    netns.ip_lines(lines).unwrap();
    netns
}

/// What `explain --json` said.
pub struct Explained {
    pub code: i32,
    pub answer: Value,
    pub stderr: String,
}

impl Explained {
    /// Runs a command that ends in `ipa-sidecar`, with `explain` and the flags added.
    pub fn by(mut command: Command, flags: &[&str]) -> Self {
        let output =
            command.args(["explain", "--json", CMDLINE, "--no-vmedia"]).args(flags).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let answer = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {:?} {stderr}", output.stdout));
        Self { code: output.status.code().unwrap(), answer, stderr }
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.answer.get(name).and_then(Value::as_str)
    }

    /// A field of the first candidate towards the first API URL.
    pub fn candidate(&self, name: &str) -> &Value {
        &self.answer["api_urls"][0]["resolved"][0][name]
    }
}

/// Runs `explain` inside.
pub fn explain(netns: &Netns, flags: &[&str]) -> Explained {
    Explained::by(netns.command(binary()), flags)
}

/// Demands an address, its URL and exit code 0.
pub fn assert_address(explained: &Explained, address: &str, device: Option<&str>) {
    let Explained { answer, stderr, .. } = explained;
    assert_eq!(explained.text("address"), Some(address), "{answer:#}\n{stderr}");
    assert_eq!(explained.text("device"), device, "{answer:#}");
    let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
    let url = format!("http://{host}:9999");
    assert_eq!(explained.text("callback_url"), Some(url.as_str()));
    assert_eq!((explained.text("reason"), explained.code), (None, 0));
}

/// Demands that there is no address, for this reason, and exit code 1.
pub fn assert_refused(explained: &Explained, reason: &str) {
    let Explained { answer, stderr, .. } = explained;
    assert_eq!(explained.text("reason"), Some(reason), "{answer:#}\n{stderr}");
    for absent in ["address", "callback_url", "device", "family"] {
        assert_eq!(answer.get(absent), Some(&Value::Null), "{absent}: {answer:#}");
    }
    assert_eq!(explained.code, 1);
}

/// The source and device that the real `ip route get` gives for a TCP connection of root's.
pub fn ip_says(netns: &Netns, api: &str, port: u16) -> (String, String) {
    // By number: a small Debian has no /etc/protocols.
    let words = format!("-json route get {api} ipproto 6 dport {port}");
    let answer: Value = serde_json::from_str(&netns.ip(&words).unwrap()).unwrap();
    let field = |name: &str| answer[0][name].as_str().unwrap().to_owned();
    (field("prefsrc"), field("dev"))
}

/// An API URL.
pub fn url(api: &str, port: u16) -> String {
    if api.contains(':') { format!("http://[{api}]:{port}") } else { format!("http://{api}:{port}") }
}

/// `explain` for one API.
pub fn explain_api(netns: &Netns, api: &str) -> Explained {
    explain(netns, &["--ironic.api-url", &url(api, 6385)])
}

/// Writes commands for `ip`, one a line; gives the words that run them.
pub fn batch(files: &Directory, name: &str, lines: impl Iterator<Item = String>) -> String {
    files.write(name, lines.fold(String::new(), |text, line| text + &line + "\n"));
    format!("-batch {}", files.file(name).display())
}

/// `ipa-sidecar` inside as nobody, without any capability. The file is opened as root, since nobody may not be
/// allowed into the directory that it is in.
pub fn unprivileged(netns: &Netns) -> Command {
    let mut command = netns.command("sh");
    command
        .args([
            "-c",
            "exec 9<\"$0\" && exec setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all \
             --bounding-set=-all --no-new-privs --pdeathsig KILL -- /proc/self/fd/9 \"$@\"",
        ])
        .arg(binary());
    command
}

/// The daemon inside, in mode observe.
pub fn start(netns: &Arc<Netns>, flags: &[&str]) -> Daemon {
    run(netns, netns.command(binary()), flags)
}

/// The same, once it has decided on this address.
pub fn start_at(netns: &Arc<Netns>, flags: &[&str], address: Option<&str>) -> Daemon {
    let daemon = start(netns, flags);
    daemon.wait_address(address, Duration::from_secs(5)).unwrap();
    daemon
}

/// A command that ends in `ipa-sidecar`, made the daemon.
pub fn run(netns: &Arc<Netns>, mut command: Command, flags: &[&str]) -> Daemon {
    command.args(Daemon::words(&[&[CMDLINE], flags].concat()));
    Daemon::from_command(command, netns).unwrap()
}
