//! A client and a server in a namespace, and probes on the client's own copy of libssl: nothing else on this machine is
//! probed, or seen.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ipa_sidecar::inside::{Chunk, Direction, FlowId, SightSeen as Seen, Slots, Tls, TlsReport};
use rcgen::{CertificateParams, KeyPair};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
use serde_json::Value;
use testbed::netns::Netns;
use testbed::site::Directory;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

const SOON: Duration = Duration::from_secs(10);
/// Debian's, which links the libssl of the system.
const PYTHON: &str = "/usr/bin/python3";

/// A request: method, path, length of its body.
pub type Request = (&'static str, &'static str, Option<usize>);

pub struct Lab {
    netns: Netns,
    directory: Directory,
    server: Child,
    port: String,
    pub library: PathBuf,
}

/// What a client had from its own libssl.
pub struct Spoken {
    pub pid: u32,
    pub sent: Vec<u8>,
    pub received: Vec<u8>,
}

impl Lab {
    /// `None` where this machine has no such Python.
    pub fn new(name: &str) -> Option<Self> {
        let print = "import _ssl, re; print(re.search(r'/\\S*/libssl[^ ]*\\.so\\S*', open('/proc/self/maps').read())[0])";
        let libssl =
            Command::new(PYTHON).args(["-c", print]).output().ok().filter(|output| output.status.success());
        if !testbed::have("a Python that links libssl", libssl.is_some()) {
            return None;
        }
        let libssl = PathBuf::from(String::from_utf8(libssl?.stdout).unwrap().trim());
        let directory = Directory::new(name);
        let library = directory.file(libssl.file_name().unwrap().to_str().unwrap());
        std::fs::copy(&libssl, &library).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
        directory.write("cert.pem", certificate.pem());
        directory.write("key.pem", key.serialize_pem());
        directory.write("client.py", include_str!("client.py"));
        directory.write("server.py", include_str!("server.py"));
        let netns = Netns::new().unwrap();
        let mut server = netns.command(PYTHON);
        server.args(["server.py", "cert.pem", "key.pem"].map(|file| directory.file(file)));
        let mut server = server.stdout(Stdio::piped()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(server.stdout.as_mut().unwrap()).read_line(&mut port).unwrap();
        Some(Self { netns, server, port: port.trim().to_owned(), library, directory })
    }

    /// Starts a client with its own libssl.
    pub fn start(&self, how: &str, requests: &[Request]) -> Child {
        // Without a random layout two clients have their `SSL` at the same address.
        let mut client = self.netns.command("setarch");
        client.args(["-R", PYTHON]).arg(self.directory.file("client.py")).arg(how);
        client.arg(self.directory.file("cert.pem")).arg(&self.port);
        client.arg(serde_json::to_string(requests).unwrap());
        client.env("LD_LIBRARY_PATH", self.directory.path()).stdout(Stdio::piped()).spawn().unwrap()
    }

    /// What it had, once it has ended.
    pub fn end(client: Child) -> Spoken {
        let output = client.wait_with_output().unwrap();
        assert!(output.status.success());
        let spoken: Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |key: &str| BASE64_STANDARD.decode(spoken[key].as_str().unwrap()).unwrap();
        Spoken {
            pid: u32::try_from(spoken["pid"].as_u64().unwrap()).unwrap(),
            sent: text("sent"),
            received: text("received"),
        }
    }

    pub fn speak(&self, how: &str, requests: &[Request]) -> Spoken {
        Self::end(self.start(how, requests))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The probes, drained by a thread without any capability.
pub struct Watching {
    pub receiver: mpsc::Receiver<Seen>,
    pub slots: Arc<Slots>,
    start: Option<oneshot::Sender<()>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// What was seen of one connection.
#[derive(Default)]
pub struct Flow {
    pub pid: u32,
    pub uid: u32,
    pub own_namespace: bool,
    pub sent: Vec<u8>,
    pub received: Vec<u8>,
    /// Where in `sent` something is missing before.
    pub gaps: Vec<usize>,
    pub ended: bool,
}

impl Watching {
    /// Attaches, and drains at once.
    pub fn of(library: &Path, room: usize) -> (Self, TlsReport) {
        let (mut watching, report) = Self::held(library, room);
        watching.drain();
        (watching, report)
    }

    /// Attaches; nothing is drained yet.
    pub fn held(library: &Path, room: usize) -> (Self, TlsReport) {
        let (tls, report) = Tls::attach_to(&[library.to_owned()]);
        assert!(report.attached, "{report:?}");
        let slots = tls.slots().unwrap();
        let (sender, receiver) = mpsc::channel(room);
        let (start, started) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let none = CapabilitySets {
                effective: CapabilitySet::empty(),
                permitted: CapabilitySet::empty(),
                inheritable: CapabilitySet::empty(),
            };
            set_capabilities(None, none).unwrap();
            assert!(capabilities(None).unwrap().permitted.is_empty());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let _ = started.await;
                let mut tasks = JoinSet::new();
                tls.start(sender, &mut tasks);
                let _ = stopped.await;
                tasks.shutdown().await;
            });
        });
        let watching = Self { receiver, slots, start: Some(start), stop: Some(stop), thread: Some(thread) };
        (watching, report)
    }

    pub fn drain(&mut self) {
        self.start.take().unwrap().send(()).unwrap();
    }

    /// The next one, or `None` where nothing comes for a while.
    pub fn next(&mut self, limit: Duration) -> Option<Seen> {
        let started = Instant::now();
        loop {
            match self.receiver.try_recv() {
                Ok(seen) => return Some(seen),
                Err(_) if started.elapsed() < limit => std::thread::sleep(Duration::from_millis(2)),
                Err(_) => return None,
            }
        }
    }

    /// Everything until so many connections have ended; and how much was lost.
    pub fn until(&mut self, ends: usize) -> (HashMap<FlowId, Flow>, u64) {
        let (mut flows, mut lost) = (HashMap::<FlowId, Flow>::new(), 0);
        while flows.values().filter(|flow| flow.ended).count() < ends {
            self.next(SOON).map(|seen| note(seen, &mut flows, &mut lost)).expect("no end is seen");
        }
        // What comes with the last end.
        while let Some(seen) = self.next(Duration::from_millis(100)) {
            note(seen, &mut flows, &mut lost);
        }
        (flows, lost)
    }

    /// The one connection, with nothing lost.
    pub fn one(&mut self) -> Flow {
        let (flows, lost) = self.until(1);
        assert_eq!((flows.len(), lost), (1, 0));
        flows.into_values().next().unwrap()
    }

    /// Ends the drain.
    pub fn stop(&mut self) {
        drop(self.start.take());
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        drop(self.start.take());
        drop(self.stop.take());
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

fn note(seen: Seen, flows: &mut HashMap<FlowId, Flow>, lost: &mut u64) {
    match seen {
        Seen::Lost(count) => *lost += count,
        Seen::End(id) => flows.entry(id).or_default().ended = true,
        Seen::Chunk(chunk) => {
            let Chunk { flow, direction, who, lost_before, bytes, .. } = chunk;
            let flow = flows.entry(flow).or_default();
            assert!(!flow.ended);
            (flow.pid, flow.uid) = (who.pid.unwrap(), who.uid.unwrap());
            flow.own_namespace = who.own_namespace;
            if lost_before {
                flow.gaps.push(flow.sent.len());
            }
            match direction {
                Direction::Out => flow.sent.extend_from_slice(&bytes),
                Direction::In => flow.received.extend_from_slice(&bytes),
            }
        }
    }
}
