//! What the tests share: a node and its conductor in two namespaces with one wire, and the daemon under test on the node.
//! A failure here is a failure of the test that called.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod agent_process;
mod directory;
mod dns;
mod fake_ipa;
mod guard;
mod kept;
mod look;
mod proxy;
mod receiver;
mod sound;

use std::ffi::OsStr;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

pub use agent_process::AgentProcess;
pub use directory::{Directory, config_dir, names};
pub use dns::{NameServer, Says};
pub use fake_ipa::{FakeIpa, IpaProcess};
pub use guard::{GUARD, events, fault, taken, token, wait_redirect};
pub use kept::Kept;
pub use look::*;
pub use proxy::Proxy;
pub use receiver::{ReportReceiver, Reported};
pub use sound::Sound;

use serde_json::json;

use crate::daemon::Daemon;
use crate::http::Http;
use crate::ironic::VERSION_HEADER;
use crate::netns::Netns;
use crate::stand_in::{Behaviour, StandIn};

/// The node's device: a lookup counts names that end like a VLAN's as NICs.
pub const DEVICE: &str = "eth0.77";
/// The MAC of it.
pub const MAC: &str = "52:54:00:aa:00:01";
/// The UUID under which the stand-in knows the node.
pub const NODE: &str = "1be26c0b-03f2-4d2e-ae87-c02d7f33c123";
/// The node's first address.
pub const FIRST: &str = "10.77.0.5";
/// The node's second address.
pub const SECOND: &str = "10.77.0.6";
/// The callback URL of [`FIRST`].
pub const FIRST_URL: &str = "http://10.77.0.5:9999";
/// The callback URL of [`SECOND`].
pub const SECOND_URL: &str = "http://10.77.0.6:9999";
/// Where Ironic listens.
pub const API: &str = "10.77.0.1:6385";
/// The flag for it.
pub const API_FLAG: &str = "--ironic.api-url=http://10.77.0.1:6385";
/// Where every daemon serves its pages.
pub const WEB: &str = "127.0.0.1:10099";
/// The name of the drop-in for IPA.
pub const DROP_IN: &str = "zz-ipa-sidecar.conf";
/// Long enough for a busy machine; what has to be fast is measured.
pub const SOON: Duration = Duration::from_secs(10);
/// An answer that needs a next heartbeat or a retry.
pub const LATER: Duration = Duration::from_secs(30);
/// The kernel rounds the start of a process down to a tick of 10 ms. One that began in the tick of a write may have begun
/// before it.
pub const MORE_THAN_A_TICK: Duration = Duration::from_millis(50);
/// A token that the operator hands out.
pub const TOKEN: &str = "handed-out-0123456789-abcdefghijklmnopqrstu";
/// Heartbeats that Ironic accepted.
pub const ACCEPTED: &str = r#"heartbeats_total{result="accepted",sender="sidecar"}"#;
/// Lookups of the sidecar after the token was given out: what Ironic has recorded was read back.
pub const READ_BACK: &str = r#"lookup_attempts_total{result="masked_token",sender="sidecar"}"#;
/// The flag to heartbeat although nothing listens on the agent's port.
pub const WITHOUT_LISTENER: &str = "--agent.without-listener";

/// The daemon under test: cargo puts it above the directory of the test programs.
pub fn binary() -> &'static str {
    static BINARY: LazyLock<String> = LazyLock::new(|| {
        let program = std::env::current_exe().unwrap();
        let binary = program.ancestors().nth(2).unwrap().join("ipa-sidecar");
        assert!(binary.is_file(), "no {}: this is for the test programs of its package", binary.display());
        binary.to_str().unwrap().to_owned()
    });
    &BINARY
}

/// A command that ends in the daemon's binary, inside, with a directory as `/etc`.
pub fn with_etc(netns: &Netns, etc: &Path) -> Command {
    program_with_etc(netns, etc, binary())
}

/// The same with another program.
pub fn program_with_etc(netns: &Netns, etc: &Path, program: impl AsRef<OsStr>) -> Command {
    let mut command = netns.command("unshare");
    command.args(["--mount", "--propagation", "private", "--", "sh", "-c"]);
    command.arg("mount --bind \"$0\" /etc && exec \"$@\"").arg(etc).arg(program);
    command
}

/// IPA's unit, as it stands below `/etc`, with these variables.
pub fn ipa_unit(etc: &Directory, variables: &[(&str, &str)]) {
    let variables = variables.iter().map(|(name, value)| format!("Environment={name}={value}\n"));
    let text =
        format!("[Service]\nExecStart=/usr/bin/ironic-python-agent\n{}", variables.collect::<String>());
    etc.write("systemd/system/ironic-python-agent.service", text);
}

/// A command that ends in the daemon's binary, inside, behind other programs.
pub fn under(netns: &Netns, words: &[&str]) -> Command {
    let mut command = netns.command(words[0]);
    command.args(&words[1..]).arg(binary());
    command
}

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

/// The node, its conductor, and a directory for IPA's configuration.
#[derive(Debug)]
pub struct Site {
    /// Where the daemon runs.
    pub node: Arc<Netns>,
    /// Where Ironic runs; its end of the wire is called `ironic`.
    pub conductor: Arc<Netns>,
    /// IPA's configuration directory in mode guard.
    pub directory: Directory,
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
        Self { node, conductor, directory: Directory::new("site") }
    }

    /// The node has its first address.
    pub fn new() -> Self {
        let site = Self::bare();
        site.add(FIRST);
        site
    }

    /// The node has its first address, and the daemon in mode observe has found it.
    pub fn observed() -> (Self, Daemon) {
        let site = Self::new();
        let daemon = site.daemon(&[API_FLAG]);
        daemon.wait_address(Some(FIRST), SOON).unwrap();
        (site, daemon)
    }

    /// The node gets an address.
    pub fn add(&self, address: &str) {
        self.node.ip(&format!("addr add {address}/24 dev {DEVICE}")).unwrap();
    }

    /// The node loses an address.
    pub fn remove(&self, address: &str) {
        self.node.ip(&format!("addr del {address}/24 dev {DEVICE}")).unwrap();
    }

    /// The node loses an address and gets another one.
    pub fn change(&self, old: &str, new: &str) {
        self.remove(old);
        self.add(new);
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
        StandIn::start(self.listener(API), behaviour).unwrap()
    }

    /// Makes Ironic hold a URL, by a heartbeat with [`TOKEN`] that is not the daemon's.
    pub fn pin(&self, ironic: &StandIn, url: &str) {
        let body = json!({"callback_url": url, "agent_token": TOKEN, "agent_version": "1.2.0"});
        let api = Http::inside(&self.conductor, ironic.address());
        let path = format!("/v1/heartbeat/{NODE}");
        assert_eq!(api.post(&path, &[(VERSION_HEADER, "1.62")], &body).unwrap().status, 202);
    }

    /// Something that listens on the conductor.
    pub fn listener(&self, address: &str) -> TcpListener {
        self.conductor.enter(|| TcpListener::bind(address).unwrap()).unwrap()
    }

    /// Something that listens on the node, and does nothing else.
    pub fn listen(&self, address: &str) -> TcpListener {
        self.node.enter(|| TcpListener::bind(address).unwrap()).unwrap()
    }

    /// The daemon on the node.
    pub fn daemon(&self, flags: &[&str]) -> Daemon {
        Daemon::start(binary(), &self.node, flags).unwrap()
    }

    /// Agent mode towards the stand-in.
    pub fn agent(&self, flags: &[&str]) -> Daemon {
        self.daemon(&[&["--mode=agent", API_FLAG], flags].concat())
    }

    /// Mode configure towards the stand-in, with its drop-in in this directory.
    pub fn configure(&self, directory: &Path) -> Daemon {
        self.daemon(&["--mode=configure", API_FLAG, &config_dir(directory)])
    }

    /// `ipa-sidecar status` on the node: its exit code, and its words however the lines are cut.
    pub fn status(&self) -> (Option<i32>, String) {
        let mut command = self.node.command(binary());
        command.arg("status").env("RUNTIME_DIRECTORY", self.node.runtime_directory().unwrap());
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), text.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// The daemon with a kernel command line, and with variables of its own.
    pub fn daemon_with(&self, cmdline: &Path, variables: &[(&str, &Path)], flags: &[&str]) -> Daemon {
        let cmdline = format!("--cmdline.path={}", cmdline.display());
        let mut command = self.node.command(binary());
        command.args(Daemon::words(&[&[cmdline.as_str()], flags].concat())).envs(variables.iter().copied());
        Daemon::from_command(command, &self.node).unwrap()
    }

    /// The daemon behind other programs: `words` end where it begins.
    pub fn daemon_under(&self, words: &[&str], flags: &[&str]) -> Daemon {
        let mut command = under(&self.node, words);
        command.args(Daemon::words(flags));
        Daemon::from_command(command, &self.node).unwrap()
    }

    /// Runs a shell script in a mount namespace of its own inside the node; it has to end in `exec "$@"`, which is the
    /// daemon with these flags.
    pub fn daemon_after(&self, script: &str, flags: &[&str]) -> Daemon {
        self.daemon_under(
            &["unshare", "--mount", "--propagation", "private", "--", "sh", "-ec", script, "sh"],
            flags,
        )
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}
