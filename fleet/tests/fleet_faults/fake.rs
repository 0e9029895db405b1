//! An Ironic on loopback that is only played: a function from a request to the bytes of an answer.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
pub use testbed::run::Run;

/// The newest API that is offered.
pub const ROOT: &str = r#"{"default_version": {"id": "v1", "version": "1.102"}}"#;
/// What no output may hold.
pub const TOKEN: &str = "S3cr3t-agent-token-of-43-characters-XXXXXXX";

/// What comes back.
pub enum Answer {
    /// A status and a body.
    Json(u16, String),
    /// As it stands; then the connection is closed.
    Raw(Vec<u8>),
    /// These bytes again and again, until the other side has enough.
    Endless(Vec<u8>),
    /// Nothing; the connection stays open.
    Silence,
}

pub fn ok(body: impl ToString) -> Answer {
    Answer::Json(200, body.to_string())
}

/// A served fake: its URL, and the requests that it got, head included.
pub struct Fake {
    address: SocketAddr,
    pub requests: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    /// `answer` gets the target, query included.
    pub fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&requests), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, &seen, &*answer));
            }
        });
        Self { address, requests }
    }

    /// One with these nodes, whose histories are empty.
    pub fn with_nodes(nodes: Vec<Value>) -> Self {
        Self::start(move |target| plain(target, &nodes))
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn count(&self, part: &str) -> usize {
        self.requests.lock().unwrap().iter().filter(|request| request.contains(part)).count()
    }

    /// Runs `ipa-fleet check --json` on it.
    pub fn check(&self, words: &[&str]) -> Run {
        fleet(&[&["check", "--json", &format!("--ironic.url={}", self.url())], words].concat())
    }
}

/// The answers of an Ironic without troubles, to listings and histories.
pub fn plain(target: &str, nodes: &[Value]) -> Answer {
    let state = target.split("provision_state=").nth(1).filter(|_| target.contains("&provision_state="));
    let state = state.map(|rest| rest.split('&').next().unwrap().replace("%20", " "));
    match target {
        "/" => ok(ROOT),
        target if target.contains("/history") => ok(json!({"history": []})),
        target if target.starts_with("/v1/nodes?") => {
            let fits = |node: &&Value| state.as_ref().is_none_or(|state| node["provision_state"] == **state);
            ok(json!({"nodes": nodes.iter().filter(fits).collect::<Vec<_>>()}))
        }
        _ => Answer::Json(404, "{}".to_owned()),
    }
}

/// A node in a state, with an agent URL.
pub fn node(number: u32, state: &str, agent_url: Option<&str>) -> Value {
    json!({
        "uuid": uuid(number), "name": format!("rack~{number}"), "provision_state": state, "last_error": null,
        "provision_updated_at": "2026-01-02T03:04:05+00:00",
        "driver_internal_info": {"agent_url": agent_url, "agent_last_heartbeat": "2026-01-02T03:04:05.123"},
    })
}

pub fn uuid(number: u32) -> String {
    format!("{number:08x}-a8d4-4a05-9443-41b0855f1ec3")
}

fn serve(stream: TcpStream, seen: &Mutex<Vec<String>>, answer: &dyn Fn(&str) -> Answer) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while reader.read_line(&mut head).is_ok_and(|read| read > 2) {}
    let length = head
        .to_ascii_lowercase()
        .split("content-length: ")
        .nth(1)
        .map(|rest| rest.lines().next().unwrap().parse().unwrap());
    let _ = std::io::Read::read_exact(&mut reader, &mut vec![0; length.unwrap_or_default()]);
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    seen.lock().unwrap().push(head);
    let mut stream = stream;
    match answer(&target) {
        Answer::Json(status, body) => {
            let length = body.len();
            let date = "Date: Fri, 02 Jan 2026 03:05:05 GMT";
            let head = format!("HTTP/1.1 {status} X\r\n{date}\r\nContent-Length: {length}\r\n\r\n");
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
        }
        Answer::Raw(bytes) => {
            let _ = stream.write_all(&bytes);
        }
        Answer::Endless(bytes) => while stream.write_all(&bytes).is_ok() {},
        Answer::Silence => std::thread::sleep(std::time::Duration::from_secs(30)),
    }
}

/// Asserts that a look is blind, and that its problems hold these words.
pub fn assert_blind(run: &Run, words: &[&str]) {
    assert_eq!(run.code, Some(2), "{}{}", run.out, run.err);
    for word in words {
        assert!(run.problems().contains(word), "{word}: {}", run.out);
    }
}

/// The program without this machine's own variables.
pub fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ipa-fleet"));
    let own = std::env::vars().map(|(name, _)| name);
    for name in own.filter(|name| name.starts_with("OS_") || name.starts_with("IPA_FLEET_")) {
        command.env_remove(name);
    }
    command.args(words);
    command
}

pub fn fleet(words: &[&str]) -> Run {
    command(words).output().unwrap().into()
}
