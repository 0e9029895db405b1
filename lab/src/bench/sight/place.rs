//! A node with a daemon of some kind, and a libssl that no other daemon of this machine looks at.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, ensure};
use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;
use testbed::daemon::{Daemon, are_loading};
use testbed::netns::Netns;
use xtask::process;

use super::super::{Bench, PATIENCE};
use crate::owned::Scratch;

/// Debian's, which links the libssl of the system.
pub const PYTHON: &str = "/usr/bin/python3";
/// The other end of the node's wire, where Ironic would be.
pub const SERVER: &str = "10.77.0.1";
/// Ends in the daemon: what is looked at there is a file of our own.
const WITH_OWN_LIBSSL: &str = "mount --bind \"$1\" \"$2\"; shift 2; exec \"$@\"";

/// What is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Nothing,
    /// The probes on connects.
    Probes,
    /// These, and sight.
    Sight,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Nothing, Self::Probes, Self::Sight];

    fn flags(self) -> [&'static str; 3] {
        const BOTH: &str = "--ironic.api-url=http://10.77.0.1:6385,https://10.77.0.1:6386";
        match self {
            // The packet socket is only there for an API over http.
            Self::Nothing => {
                ["--mode=observe", "--probe.connect=off", "--ironic.api-url=https://10.77.0.1:6386"]
            }
            Self::Probes => ["--mode=agent", "--agent.without-listener", BOTH],
            Self::Sight => ["--mode=observe", "--probe.connect=auto", BOTH],
        }
    }
}

/// All of it.
pub struct Place {
    pub node: Arc<Netns>,
    pub server: Netns,
    pub daemon: Daemon,
    scratch: Scratch,
}

impl Place {
    /// Starts the daemon.
    ///
    /// # Errors
    /// Where it is not of this kind.
    pub fn new(bench: &Bench, kind: Kind) -> anyhow::Result<Self> {
        let (node, server) = (Arc::new(Netns::new()?), Netns::new()?);
        node.join("eth0.77", &server, "server")?;
        server.ip(&format!("addr add {SERVER}/24 dev server"))?;
        node.ip("addr add 10.77.0.2/24 dev eth0.77")?;
        let scratch = Scratch::new("sight")?;
        let libssl = system_libssl()?;
        let own = scratch.path().join(libssl.file_name().context("libssl has a name")?);
        fs::copy(&libssl, &own)?;
        let mut command = node.command("unshare");
        command.args(["--mount", "--propagation", "private", "--", "sh", "-ec", WITH_OWN_LIBSSL, "sh"]);
        command.args([&own, &libssl]).arg(&bench.binary).args(Daemon::words(&kind.flags()));
        let daemon = Daemon::from_command(command, &node)?;
        daemon.wait_log("generation=", PATIENCE)?;
        daemon.wait_state("the probes", PATIENCE, |state| !are_loading(state))?;
        let place = Self { node, server, daemon, scratch };
        place.certificate()?;
        place.check(kind)?;
        Ok(place)
    }

    fn check(&self, kind: Kind) -> anyhow::Result<()> {
        let probes = self.daemon.metric("probe_attached{probe=\"connect\"}")? == Some(1.0);
        let state = self.daemon.state()?;
        let sight = ["http", "tls"].map(|source| {
            state.pointer(&format!("/sight/{source}/attached")).and_then(Value::as_bool) == Some(true)
        });
        let wanted = (kind != Kind::Nothing, [kind == Kind::Sight; 2]);
        ensure!((probes, sight) == wanted, "attached is not {wanted:?}: {state:#}\n{}", self.daemon.log());
        Ok(())
    }

    /// For the servers, and as its own authority.
    fn certificate(&self) -> anyhow::Result<()> {
        let key = KeyPair::generate()?;
        let certificate =
            CertificateParams::new(["127.0.0.1".to_owned(), SERVER.to_owned()])?.self_signed(&key)?;
        fs::write(self.file("cert.pem"), certificate.pem())?;
        fs::write(self.file("key.pem"), key.serialize_pem())?;
        Ok(())
    }

    /// A file of this place.
    pub fn file(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// A program of Python's on the node, with the libssl that the daemon looks at.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn python(&self, program: &str) -> anyhow::Result<Command> {
        fs::write(self.file("program.py"), program)?;
        let mut command = self.node.command(PYTHON);
        command.arg(self.file("program.py")).env("LD_LIBRARY_PATH", self.scratch.path());
        Ok(command)
    }

    /// Microseconds for one `SSL_write`, of each part.
    ///
    /// # Errors
    /// Where the program fails.
    pub fn ssl_writes(&self, parts: usize, writes: u32) -> anyhow::Result<Vec<f64>> {
        let mut command = self.python(include_str!("../ssl_write.py"))?;
        command.args(["cert.pem", "key.pem"].map(|name| self.file(name)));
        command.args([parts.to_string(), writes.to_string()]);
        let text = process::output(&mut command)?;
        text.lines().map(|line| line.parse().with_context(|| line.to_owned())).collect()
    }
}

/// The file that Debian's Python has mapped.
fn system_libssl() -> anyhow::Result<PathBuf> {
    let print =
        "import _ssl, re; print(re.search(r'/\\S*/libssl[^ ]*\\.so\\S*', open('/proc/self/maps').read())[0])";
    let text = process::output(Command::new(PYTHON).args(["-c", print]))?;
    Ok(PathBuf::from(text.trim()))
}
