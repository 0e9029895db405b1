//! What takes the reports of nodes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use super::{LATER, Site};

/// A report as it came.
#[derive(Debug, Clone)]
pub struct Reported {
    /// The request line and the header lines.
    pub head: String,
    /// The body.
    pub body: Value,
}

impl Reported {
    /// What it was sent for.
    pub fn occasion(&self) -> &str {
        self.body["report"]["occasion"].as_str().unwrap_or_default()
    }
}

/// Takes reports at [`ReportReceiver::ADDRESS`] on the conductor, until it is dropped.
#[derive(Debug)]
pub struct ReportReceiver {
    listener: TcpListener,
    shared: Arc<(Mutex<Vec<Reported>>, AtomicU16)>,
    thread: Option<JoinHandle<()>>,
}

impl ReportReceiver {
    /// Where it listens.
    pub const ADDRESS: &str = "10.77.0.1:10101";
    /// The flag for it.
    pub const FLAG: &str = "--report.url=http://10.77.0.1:10101";

    /// Answers 202, until another status is set.
    pub fn start(site: &Site) -> Self {
        let listener = site.listener(Self::ADDRESS);
        let shared = Arc::new((Mutex::default(), AtomicU16::new(202)));
        let (accepting, theirs) = (listener.try_clone().unwrap(), Arc::clone(&shared));
        let thread = std::thread::spawn(move || {
            while let Ok((stream, _)) = accepting.accept() {
                let (reports, status): &(Mutex<Vec<Reported>>, AtomicU16) = &theirs;
                if let Some(report) = take(stream, status.load(Ordering::SeqCst)) {
                    reports.lock().unwrap().push(report);
                }
            }
        });
        Self { listener, shared, thread: Some(thread) }
    }

    /// Answers with this status from now on; 0: not at all.
    pub fn set_status(&self, status: u16) {
        self.shared.1.store(status, Ordering::SeqCst);
    }

    /// What has come so far.
    pub fn reports(&self) -> Vec<Reported> {
        self.shared.0.lock().unwrap().clone()
    }

    /// Waits for a report as wanted, and gives it.
    #[track_caller]
    pub fn wait(&self, what: &str, wanted: impl Fn(&Reported) -> bool) -> Reported {
        let began = std::time::Instant::now();
        while began.elapsed() < LATER {
            if let Some(found) = self.reports().into_iter().find(&wanted) {
                return found;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("no report within {LATER:?}: {what}; there are {:#?}", self.reports());
    }
}

impl Drop for ReportReceiver {
    fn drop(&mut self) {
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn take(stream: TcpStream, status: u16) -> Option<Reported> {
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let mut reader = BufReader::new(&stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        (reader.read_line(&mut head).ok()? > 0).then_some(())?;
    }
    let lower = head.to_ascii_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "))?.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    match status {
        0 => drop(reader.read(&mut [0])), // Until the other side gives up.
        status => {
            let body = r#"{"error": "no\u001b[31m"}"#;
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            (&stream).write_all(head.as_bytes()).ok()?;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
    Some(Reported { head, body: serde_json::from_slice(&body).ok()? })
}
