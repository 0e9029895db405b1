//! Who answers on a node's agent port, and the threads of such stand-ins.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use testbed::netns::Netns;

/// The port that is advertised.
pub const PORT: u16 = 9999;
/// How often a listener is looked at.
const POLL: Duration = Duration::from_millis(20);

/// Ends its threads when dropped: as long as one is in a namespace, that stays.
#[derive(Default)]
pub struct Threads(Arc<AtomicBool>);

impl Threads {
    /// A new one that does the same thing again and again.
    pub fn repeat(&self, mut work: impl FnMut() + Send + 'static) {
        let stop = Arc::clone(&self.0);
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                work();
            }
        });
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Answers on the agent's port and closes first; `is_ipa`: as ironic-python-agent, so that the daemon takes it for one.
///
/// # Errors
/// Where the port is taken.
pub fn listen(netns: &Netns, is_ipa: bool, threads: &Threads) -> std::io::Result<()> {
    let listener = netns.enter(|| TcpListener::bind(("::", PORT)))??;
    listener.set_nonblocking(true)?;
    let body = r#"{"started_at": 1.5, "version": "1.5.2"}"#;
    let (status, body) = if is_ipa { ("200 OK", body) } else { ("404 Not Found", "") };
    let length = body.len();
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    threads.repeat(move || {
        let Ok((mut stream, _)) = listener.accept() else {
            std::thread::sleep(POLL);
            return;
        };
        let _ = stream.set_nonblocking(false);
        let _ = stream.set_read_timeout(Some(Duration::from_millis(500)));
        let mut start = [0; 4096];
        // Who speaks TLS or says nothing gets no answer.
        if stream.read(&mut start).is_ok_and(|_| start.starts_with(b"GET ")) {
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    Ok(())
}
