//! The server: one thread that accepts, one per connection.

use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::fault::{Fault, Path, Script};
use super::http::{Recorded, Response};
use super::node::{self, Behaviour, Node};

/// A running stand-in. Dropping it closes every connection and waits for its threads.
#[derive(Debug)]
pub struct StandIn {
    shared: Arc<Shared>,
    listener: TcpListener,
    address: SocketAddr,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    stopping: AtomicBool,
    tls: Option<Arc<ServerConfig>>,
}

#[derive(Debug)]
struct State {
    node: Node,
    script: Script,
    requests: Vec<Recorded>,
    /// To wake the threads that read from them when we stop.
    open: Vec<TcpStream>,
    handshakes: usize,
}

impl StandIn {
    /// Serves on the listener, which the caller may have made inside a namespace.
    ///
    /// # Errors
    /// Of the TLS identity and the listener.
    pub fn start(listener: TcpListener, behaviour: Behaviour) -> io::Result<Self> {
        let tls = behaviour.tls.as_ref().map(|identity| identity.config()).transpose()?;
        let state = State {
            node: Node::new(behaviour),
            script: Script::default(),
            requests: Vec::new(),
            open: Vec::new(),
            handshakes: 0,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), stopping: AtomicBool::new(false), tls });
        let address = listener.local_addr()?;
        let (ours, theirs) = (listener.try_clone()?, Arc::clone(&shared));
        let accepting = std::thread::spawn(move || accept_all(&listener, &theirs));
        Ok(Self { shared, listener: ours, address, accepting: Some(accepting) })
    }

    /// Serves on a free port of this address.
    ///
    /// # Errors
    /// Where the address cannot be bound, and of [`Self::start`].
    pub fn on(address: &str, behaviour: Behaviour) -> io::Result<Self> {
        Self::start(TcpListener::bind((address, 0))?, behaviour)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The API URL with the address as host.
    pub fn url(&self) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The next request to this path meets the fault; then things are as before.
    pub fn push_fault(&self, path: Path, fault: Fault) {
        self.state().script.push(path, fault);
    }

    /// Every request to this path meets the fault, until `None` ends it.
    pub fn set_fault(&self, path: Path, fault: Option<Fault>) {
        self.state().script.set(path, fault);
    }

    /// Power off or reboot through Ironic: URL, certificate and token are wiped.
    pub fn power_cycle(&self) {
        self.state().node.power_cycle();
    }

    /// Another task holds the node, or lets go of it.
    pub fn set_locked(&self, locked: bool) {
        self.state().node.locked = locked;
    }

    /// The provision state waits for no ramdisk, or does again.
    pub fn set_wrong_state(&self, wrong: bool) {
        self.state().node.wrong_state = wrong;
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Recorded> {
        self.state().requests.clone()
    }

    /// Connections so far, with or without a request.
    pub fn connections(&self) -> usize {
        self.state().handshakes
    }

    /// The recorded callback URL.
    pub fn agent_url(&self) -> Option<String> {
        self.state().node.agent_url.clone()
    }

    /// The recorded agent version.
    pub fn agent_version(&self) -> Option<String> {
        self.state().node.agent_version.clone()
    }

    /// The recorded certificate of the agent.
    pub fn agent_verify_ca(&self) -> Option<String> {
        self.state().node.agent_verify_ca.clone()
    }

    /// The token that was given out.
    pub fn token(&self) -> Option<String> {
        self.state().node.token.clone()
    }

    /// Heartbeats answered 202.
    pub fn heartbeats(&self) -> usize {
        self.state().node.accepted
    }

    /// Heartbeats answered 202 and recorded.
    pub fn recorded_heartbeats(&self) -> usize {
        self.state().node.recorded
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // Wakes accept(2), from whatever namespace we are in.
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        if let Some(thread) = self.accepting.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}

fn accept_all(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    while let Ok((stream, _)) = listener.accept() {
        if shared.is_stopping() {
            break;
        }
        if let Ok(handle) = stream.try_clone() {
            let mut state = shared.state();
            state.handshakes += 1;
            state.open.retain(|stream| stream.peer_addr().is_ok());
            state.open.push(handle);
        }
        let theirs = Arc::clone(shared);
        threads.retain(|thread| !thread.is_finished());
        threads.push(std::thread::spawn(move || {
            // A client that goes away in the middle is not this server's concern.
            let _ = serve(stream, &theirs);
        }));
    }
    for stream in shared.state().open.drain(..) {
        let _ = stream.shutdown(Shutdown::Both);
    }
    for thread in threads {
        let _ = thread.join();
    }
}

fn serve(tcp: TcpStream, shared: &Shared) -> io::Result<()> {
    let raw = tcp.try_clone()?;
    tcp.set_nodelay(true)?;
    let result = match &shared.tls {
        Some(config) => {
            let session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
            serve_requests(StreamOwned::new(session, tcp), &raw, shared)
        }
        None => serve_requests(tcp, &raw, shared),
    };
    // The clone in `open` keeps the socket alive: only this ends the connection.
    let _ = raw.shutdown(Shutdown::Both);
    result
}

fn serve_requests(stream: impl Read + Write, raw: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = Recorded::read(&mut stream)? {
        let path = request.path().to_owned();
        let fault = {
            let mut state = shared.state();
            state.requests.push(request.clone());
            state.script.take(&path)
        };
        let out = stream.get_mut();
        match fault {
            None => shared.state().node.answer(&request).write(out)?,
            Some(Fault::Late(delay)) => {
                pause(delay, shared);
                shared.state().node.answer(&request).write(out)?;
            }
            Some(Fault::Error(status, text)) => node::error(status, &text).write(out)?,
            Some(Fault::Status(status, body)) => Response::new(status, body).write(out)?,
            Some(fault) => return misbehave(fault, &path, &mut stream, raw, shared),
        }
        if request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            break;
        }
    }
    Ok(())
}

/// The faults after which the connection is of no more use.
fn misbehave<S: Read + Write>(
    fault: Fault,
    path: &str,
    stream: &mut BufReader<S>,
    raw: &TcpStream,
    shared: &Shared,
) -> io::Result<()> {
    let success = Response::new(if Path::Heartbeat.covers(path) { 202 } else { 200 }, "");
    if fault == Fault::Silent {
        // Until the client or the drop of the stand-in closes.
        return io::copy(stream, &mut io::sink()).map(drop);
    }
    let out = stream.get_mut();
    match fault {
        Fault::ResetBeforeResponse => reset(raw)?,
        Fault::ResetMidBody => {
            out.write_all(success.head(1000).as_bytes())?;
            out.write_all(br#"{"node": "#)?;
            out.flush()?;
            std::thread::sleep(Duration::from_millis(50)); // The head shall arrive before the reset does.
            reset(raw)?;
        }
        Fault::GarbageJson => Response { body: r#"{"node": {"uuid": "#.to_owned(), ..success }.write(out)?,
        Fault::NotHttp => out.write_all(b"220 mail.example.com ESMTP\r\n")?,
        Fault::HugeBody(bytes) => {
            out.write_all(success.head(bytes).as_bytes())?;
            io::copy(&mut io::repeat(b'x').take(bytes), out)?;
        }
        Fault::HugeHead(bytes) => {
            let padding = ("X-Padding".to_owned(), "x".repeat(bytes));
            Response { headers: vec![padding], ..success }.write(out)?;
        }
        Fault::SlowBody(delay) => {
            out.write_all(success.head(1_000_000).as_bytes())?;
            while !shared.is_stopping() {
                out.write_all(b" ")?;
                out.flush()?;
                pause(delay, shared);
            }
        }
        Fault::Redirect(location) => {
            let headers = vec![("Location".to_owned(), location)];
            Response { status: 302, headers, body: String::new() }.write(out)?;
        }
        Fault::Silent
        | Fault::Late(_)
        | Fault::CloseBeforeResponse
        | Fault::Status(..)
        | Fault::Error(..) => {}
    }
    out.flush()
}

/// Sleeps, but not past the stand-in's end.
fn pause(delay: Duration, shared: &Shared) {
    let end = std::time::Instant::now() + delay;
    while !shared.is_stopping() {
        let left = end.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(Duration::from_millis(20)));
    }
}

/// Sends a reset (tcp_disconnect in the kernel), however many handles of the socket are open.
fn reset(raw: &TcpStream) -> io::Result<()> {
    Ok(rustix::net::connect_unspec(raw)?)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn get(stand_in: &StandIn, target: &str, version: &str) -> String {
        let mut stream = TcpStream::connect(stand_in.address()).unwrap();
        let head = format!(
            "GET {target} HTTP/1.1\r\nConnection: close\r\nX-OpenStack-Ironic-API-Version: {version}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn answers_like_ironic() {
        let stand_in = StandIn::on("127.0.0.1", Behaviour::default()).unwrap();
        let lookup = "/v1/lookup?addresses=52%3A54%3A00%3A12%3A34%3A56";
        assert!(get(&stand_in, lookup, "1.21").starts_with("HTTP/1.1 404"));
        assert!(get(&stand_in, lookup, "1.999").starts_with("HTTP/1.1 406"));
        assert!(get(&stand_in, "/v1/lookup?addresses=junk", "1.62").starts_with("HTTP/1.1 400"));
        assert!(get(&stand_in, "/v1/nodes", "1.62").starts_with("HTTP/1.1 404"));
        assert_eq!(stand_in.token(), None);
        let first = get(&stand_in, lookup, "1.62");
        let token = stand_in.token().unwrap();
        assert_eq!(token.len(), 43);
        assert!(first.contains(&token));
        let later = get(&stand_in, lookup, "1.62");
        assert!(!later.contains(&token) && later.contains("\"******\""));
        stand_in.power_cycle();
        assert_eq!(stand_in.token(), None);
        assert_eq!(stand_in.requests().len(), 6);
        assert_eq!(stand_in.requests()[0].query("addresses").as_deref(), Some("52:54:00:12:34:56"));
    }

    #[test]
    fn a_drop_ends_what_is_open() {
        let stand_in = StandIn::on("127.0.0.1", Behaviour::default()).unwrap();
        stand_in.set_fault(Path::Any, Some(Fault::Silent));
        let mut idle = TcpStream::connect(stand_in.address()).unwrap();
        let mut asked = TcpStream::connect(stand_in.address()).unwrap();
        asked.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        while stand_in.requests().is_empty() || stand_in.connections() < 2 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let begun = Instant::now();
        drop(stand_in);
        assert!(begun.elapsed() < Duration::from_secs(2));
        for stream in [&mut idle, &mut asked] {
            assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
        }
    }
}
