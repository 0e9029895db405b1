//! The requests of one connection, found in its bytes while they pass. Pure: pieces in, pieces out.
//!
//! Only a heartbeat whose length is known is kept back until it is whole, so that it can be repaired. All else goes on as
//! it comes; where requests cannot be told apart, all that follows does.

mod answers;
mod head;
mod skip;

use std::ops::Range;

pub use answers::{Answer, Answers};

use super::body::{Era, Kind, classify};
use head::{Framing, HEAD_BYTES, end, fields, has_bare_line_end, request_line};
use skip::{Skip, Skipped};

/// The largest heartbeat that is looked at (with a certificate it has some 2 KiB).
const HEARTBEAT_BYTES: u64 = 1 << 20;
/// The longest first line that can be a heartbeat's.
const LINE_BYTES: usize = 8 * 1024;

/// A request whose answer will come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What it asks.
    pub kind: Kind,
    /// Its answer has no body (`HEAD`).
    pub bodiless: bool,
    /// Its answer may turn the connection into another protocol.
    pub upgrade: bool,
}

/// A heartbeat that came whole.
#[derive(Debug)]
pub struct Heartbeat {
    head: Vec<u8>,
    length_at: Range<usize>,
    /// The body.
    pub body: Vec<u8>,
    /// How it is written.
    pub era: Era,
    /// The node that it names.
    pub node_uuid: String,
}

impl Heartbeat {
    /// Puts it out byte for byte, or with another body: then its Content-Length is that of the new one.
    pub fn put(&self, body: Option<&[u8]>, out: &mut Vec<u8>) {
        let Some(body) = body else {
            out.extend_from_slice(&self.head);
            out.extend_from_slice(&self.body);
            return;
        };
        out.extend_from_slice(self.head.get(..self.length_at.start).unwrap_or_default());
        out.extend_from_slice(body.len().to_string().as_bytes());
        out.extend_from_slice(self.head.get(self.length_at.end..).unwrap_or_default());
        out.extend_from_slice(body);
    }

    /// What it asks.
    pub fn asked(&self) -> Asked {
        let kind = Kind::Heartbeat(self.era, self.node_uuid.clone());
        Asked { kind, bodiless: false, upgrade: false }
    }
}

/// What a piece of input brought.
#[derive(Debug)]
pub enum Step {
    /// All of it is taken.
    More,
    /// A request has begun to go on.
    Asked(Asked),
    /// A heartbeat is whole. Nothing of it is put out yet.
    Heartbeat(Heartbeat),
}

/// Follows one connection.
#[derive(Debug)]
pub struct Splitter {
    state: State,
}

#[derive(Debug)]
enum State {
    /// In a head: what came of it, and how much of that went on.
    Head { head: Vec<u8>, passed: usize },
    /// In the body of a request that passes.
    Body(Skip),
    /// In the body of a heartbeat, of which so much is missing.
    Collect { heartbeat: Heartbeat, missing: usize },
    /// Nothing is told apart any more.
    Raw,
}

const NEXT: State = State::Head { head: Vec::new(), passed: 0 };

impl Default for Splitter {
    fn default() -> Self {
        Self { state: NEXT }
    }
}

impl Splitter {
    /// Takes input until a request begins or a heartbeat is whole, and puts out what goes on.
    pub fn feed(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Step {
        while !input.is_empty() {
            let step = match &mut self.state {
                State::Raw => {
                    take(input, input.len(), out);
                    None
                }
                State::Body(skip) => {
                    match skip.take(input) {
                        Skipped::All => take(input, input.len(), out),
                        Skipped::Ended(length) => {
                            take(input, length, out);
                            self.state = NEXT;
                        }
                        Skipped::Lost => self.state = State::Raw,
                    }
                    None
                }
                State::Collect { heartbeat, missing } => {
                    let length = (*missing).min(input.len());
                    take(input, length, &mut heartbeat.body);
                    *missing -= length;
                    if *missing > 0 { None } else { self.collected() }
                }
                State::Head { .. } => self.head(input, out),
            };
            if let Some(step) = step {
                return step;
            }
        }
        Step::More
    }

    /// The connection's input has ended: what was kept back goes on as it is.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        match std::mem::replace(&mut self.state, State::Raw) {
            State::Head { head, passed } => out.extend_from_slice(head.get(passed..).unwrap_or_default()),
            State::Collect { heartbeat, .. } => heartbeat.put(None, out),
            State::Body(_) | State::Raw => {}
        }
    }

    /// Whether a request is whole, or none has begun.
    pub fn is_between(&self) -> bool {
        matches!(&self.state, State::Head { head, .. } if head.is_empty())
    }

    fn collected(&mut self) -> Option<Step> {
        match std::mem::replace(&mut self.state, NEXT) {
            State::Collect { heartbeat, .. } => Some(Step::Heartbeat(heartbeat)),
            _ => None,
        }
    }

    fn head(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Option<Step> {
        let State::Head { head, passed } = &mut self.state else { return None };
        let (before, whole) = (head.len(), *input);
        take(input, whole.len(), head);
        // An empty line before a request is passed over by every server (RFC 9112, section 2.2).
        if before < 2 && head.starts_with(b"\r\n") {
            out.extend_from_slice(head.get(*passed..2).unwrap_or_default());
            *input = whole.get(2 - before..).unwrap_or_default();
            self.state = NEXT;
            return None;
        }
        let end = end(head, before);
        head.truncate(end.unwrap_or(head.len()));
        let is_lost = head.len() > HEAD_BYTES || has_bare_line_end(head, before);
        let (Some(end), false) = (end, is_lost) else {
            if is_lost || !may_be_heartbeat(head) {
                out.extend_from_slice(head.get(*passed..).unwrap_or_default());
                *passed = head.len();
            }
            if is_lost {
                *input = whole.get(head.len() - before..).unwrap_or_default();
                self.state = State::Raw;
            }
            return None;
        };
        *input = whole.get(end - before..).unwrap_or_default();
        let (head, passed) = (std::mem::take(head), *passed);
        self.state = State::Raw;
        let Some(request) = Request::read(&head) else {
            out.extend_from_slice(head.get(passed..).unwrap_or_default());
            return None;
        };
        match request.collected {
            Some((length_at, missing)) if passed == 0 => {
                let Kind::Heartbeat(era, node_uuid) = request.asked.kind else { return None };
                let heartbeat = Heartbeat { head, length_at, body: Vec::new(), era, node_uuid };
                self.state = State::Collect { heartbeat, missing };
                return None;
            }
            _ => out.extend_from_slice(head.get(passed..).unwrap_or_default()),
        }
        if !request.asked.upgrade {
            self.state = match request.framing {
                None | Some(Framing::Length(0)) => NEXT,
                Some(framing) => State::Body(Skip::new(framing)),
            };
        }
        Some(Step::Asked(request.asked))
    }
}

/// A request, as its head shows it.
struct Request {
    asked: Asked,
    framing: Option<Framing>,
    /// Of a heartbeat that can be repaired: where its length stands, and the length.
    collected: Option<(Range<usize>, usize)>,
}

impl Request {
    /// `None` where its end cannot be found.
    fn read(head: &[u8]) -> Option<Self> {
        let (method, target) = request_line(head)?;
        let (fields, kind) = (fields(head)?, classify(method, target));
        let upgrade = fields.upgrade || method == "CONNECT";
        let framing = fields.framing();
        let is_plain = !upgrade && !fields.veiled && matches!(kind, Kind::Heartbeat(..));
        let collected = match (fields.length_at(), framing) {
            (Some(place), Some(Framing::Length(length @ 1..=HEARTBEAT_BYTES))) if is_plain => {
                Some((place, usize::try_from(length).ok()?))
            }
            _ => None,
        };
        Some(Self { asked: Asked { kind, bodiless: method == "HEAD", upgrade }, framing, collected })
    }
}

/// Whether what came of a head may be that of a heartbeat: only such a one is kept back.
fn may_be_heartbeat(head: &[u8]) -> bool {
    const POST: &[u8] = b"POST ";
    if head.len() <= POST.len() {
        return POST.starts_with(head);
    }
    match request_line(head) {
        _ if !head.starts_with(POST) => false,
        _ if !head.windows(2).any(|two| two == b"\r\n") => head.len() <= LINE_BYTES,
        Some((method, target)) => matches!(classify(method, target), Kind::Heartbeat(..)),
        None => false,
    }
}

fn take(input: &mut &[u8], length: usize, out: &mut Vec<u8>) {
    let (taken, rest) = input.split_at(length.min(input.len()));
    out.extend_from_slice(taken);
    *input = rest;
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
