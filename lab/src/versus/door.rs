//! The door to Ironic: what a node connects to. It passes every request on, with TLS off, and lets Ironic be slow or
//! away for one node alone. What went through is written down.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use testbed::http::Response;
use testbed::netns::Netns;

use super::message::Request;
use super::schedule::Mood;

/// The port of the API, and that of the proxy.
pub const PORT: u16 = 6385;
pub const PROXY: u16 = 3128;
/// A standing connection without a request is ended after this, as Ironic's server does (cheroot's `timeout`).
const IDLE: Duration = Duration::from_secs(10);
/// How often something that is waited for is looked at.
const POLL: Duration = Duration::from_millis(50);

/// A request that went through, and its answer.
#[derive(Debug, Clone)]
pub struct Seen {
    /// When it was there whole.
    pub asked: Instant,
    /// When its answer went to the node; `None`: it did not.
    pub answered: Option<Instant>,
    /// What it was.
    pub request: Request,
    /// Ironic's status.
    pub status: u16,
    /// Ironic's text, where it refused.
    pub fault: String,
}

/// The door; its threads end with it.
pub struct Door(Arc<Inside>);

struct Inside {
    netns: Arc<Netns>,
    ironic: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    /// The API's host; the proxy passes on what is for it.
    host: String,
    mood: Mutex<Mood>,
    seen: Mutex<Vec<Seen>>,
    stop: AtomicBool,
}

impl Door {
    /// Opens it at every address of the namespace.
    pub fn open(
        netns: &Arc<Netns>,
        ironic: SocketAddr,
        host: String,
        tls: Option<Arc<ServerConfig>>,
    ) -> Self {
        let inside = Arc::new(Inside {
            netns: Arc::clone(netns),
            ironic,
            tls,
            host,
            mood: Mutex::new(Mood::Up),
            seen: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        for port in [PORT, PROXY] {
            let inside = Arc::clone(&inside);
            std::thread::spawn(move || inside.serve(port));
        }
        Self(inside)
    }

    /// From now on Ironic is so.
    pub fn set(&self, mood: Mood) {
        *lock(&self.0.mood) = mood;
    }

    /// What went through so far.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.0.seen).clone()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

impl Inside {
    fn away(&self) -> bool {
        *lock(&self.mood) == Mood::Away || self.stop.load(Ordering::Relaxed)
    }

    fn serve(self: &Arc<Self>, port: u16) {
        while !self.stop.load(Ordering::Relaxed) {
            if !self.away()
                && let Ok(Ok(listener)) = self.netns.enter(|| TcpListener::bind(("::", port)))
                && listener.set_nonblocking(true).is_ok()
            {
                self.accept(&listener, port == PROXY);
            }
            std::thread::sleep(POLL);
        }
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener, is_proxy: bool) {
        while !self.away() {
            let Ok((client, _)) = listener.accept() else {
                std::thread::sleep(POLL / 5);
                continue;
            };
            let inside = Arc::clone(self);
            std::thread::spawn(move || {
                // An end of either side is an end of the connection, and nothing else.
                let _ = inside.connection(client, is_proxy);
            });
        }
    }

    fn connection(&self, client: TcpStream, is_proxy: bool) -> std::io::Result<()> {
        client.set_nonblocking(false)?;
        client.set_write_timeout(Some(IDLE))?;
        let raw = client.try_clone()?;
        match &self.tls {
            Some(config) if !is_proxy => {
                let tls = ServerConnection::new(Arc::clone(config)).map_err(std::io::Error::other)?;
                self.exchanges(&raw, StreamOwned::new(tls, client), is_proxy)
            }
            _ => self.exchanges(&raw, client, is_proxy),
        }
    }

    fn exchanges(
        &self,
        raw: &TcpStream,
        mut client: impl Read + Write,
        is_proxy: bool,
    ) -> std::io::Result<()> {
        while self.something_comes(raw)? {
            raw.set_read_timeout(Some(IDLE))?;
            let Some((request, bytes)) = Request::read(&mut client)? else { return Ok(()) };
            if is_proxy && request.host() != Some(&self.host) {
                let answer = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
                client.write_all(answer.as_bytes())?;
                continue;
            }
            let index = self.note(request);
            let mut ironic = TcpStream::connect(self.ironic)?;
            ironic.write_all(&bytes)?;
            let answer = Response::read(ironic)?;
            let fault = if answer.status < 400 { String::new() } else { answer.text() };
            self.change(index, |seen| (seen.status, seen.fault) = (answer.status, fault));
            let mood = *lock(&self.mood); // Not held while it sleeps.
            if let Mood::Slow(by) = mood {
                std::thread::sleep(Duration::from_secs_f32(by));
            }
            if self.away() {
                return Ok(());
            }
            client.write_all(&super::message::answer(&answer))?;
            self.change(index, |seen| seen.answered = Some(Instant::now()));
        }
        Ok(())
    }

    /// Waits for the next request on a standing connection; false where there is none, or Ironic is away.
    fn something_comes(&self, raw: &TcpStream) -> std::io::Result<bool> {
        raw.set_read_timeout(Some(POLL))?;
        let start = Instant::now();
        while start.elapsed() < IDLE && !self.away() {
            match raw.peek(&mut [0]) {
                Ok(length) => return Ok(length > 0),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    fn note(&self, request: Request) -> usize {
        let mut seen = lock(&self.seen);
        seen.push(Seen { asked: Instant::now(), answered: None, request, status: 0, fault: String::new() });
        seen.len() - 1
    }

    fn change(&self, index: usize, change: impl FnOnce(&mut Seen)) {
        if let Some(seen) = lock(&self.seen).get_mut(index) {
            change(seen);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
