//! The requests of one connection, found in its bytes while they pass. Pieces in, pieces out.
//!
//! For the guard only a heartbeat whose length is known is kept back until it is whole, so that it can be repaired. All
//! else goes on as it comes; where requests cannot be separated, all that follows does. For sight nothing goes on.

use std::ops::Range;

use text::SecretBytes;

use super::body::{Era, Kind, classify};
use super::head::{Framing, HEAD_BYTES, end, fields, has_bare_line_end, request_line};
use super::skip::{Skip, Skipped};

/// The largest heartbeat that is kept back (with a certificate it has some 2 KiB).
const HEARTBEAT_BYTES: u64 = 1 << 20;
/// The largest heartbeat that is read where nothing is kept back.
const READ_BYTES: usize = 64 * 1024;
/// The longest method that a request is known by.
const METHOD_BYTES: usize = 16;
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
    /// Its body waits for the server's leave (`Expect`).
    pub expects: bool,
    /// Whom it is for, as its `Host` says.
    pub host: Option<String>,
}

/// Where what goes on is put.
pub trait Out {
    /// Puts it there.
    fn put(&mut self, bytes: &[u8]);
}

impl Out for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Nothing goes on.
impl Out for () {
    fn put(&mut self, _bytes: &[u8]) {}
}

/// A heartbeat that came whole.
#[derive(Debug)]
pub struct Heartbeat {
    head: SecretBytes,
    length_at: Range<usize>,
    /// The body.
    pub body: SecretBytes,
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
        Asked { kind, bodiless: false, upgrade: false, expects: false, host: None }
    }
}

/// What a piece of input brought.
#[derive(Debug)]
pub enum Step {
    /// All of it is taken.
    More,
    /// A request has begun to go on.
    Asked(Asked),
    /// A heartbeat is whole. Nothing of it is put out yet; where requests are only read, it was asked before.
    Heartbeat(Heartbeat),
}

/// Follows one connection.
#[derive(Debug)]
pub struct Splitter {
    state: State,
    purpose: Purpose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// The input goes on.
    Carry,
    /// The input is only read.
    Read,
}

#[derive(Debug)]
enum State {
    /// In a head: what came of it, how much of that went on, and whether its first line is whole and a heartbeat's.
    Head { head: SecretBytes, passed: usize, is_heartbeat: bool },
    /// In the body of a request that passes.
    Body(Skip),
    /// In the body of a heartbeat.
    Collect { heartbeat: Heartbeat, skip: Skip },
    /// Nothing is separated any more.
    Raw,
}

impl State {
    fn next() -> Self {
        Self::Head { head: SecretBytes::default(), passed: 0, is_heartbeat: false }
    }
}

impl Default for Splitter {
    fn default() -> Self {
        Self { state: State::next(), purpose: Purpose::Carry }
    }
}

impl Splitter {
    /// Only reads: every request is given as soon as its head is whole, and more heartbeats are read.
    pub fn reading() -> Self {
        Self { purpose: Purpose::Read, ..Self::default() }
    }

    /// Takes input until a request begins or a heartbeat is whole, and puts out what goes on.
    pub fn feed(&mut self, input: &mut &[u8], out: &mut impl Out) -> Step {
        while !input.is_empty() {
            let step = match &mut self.state {
                State::Raw => {
                    pass(input, input.len(), out);
                    None
                }
                State::Body(skip) => {
                    match skip.take(input) {
                        Skipped::All => pass(input, input.len(), out),
                        Skipped::Ended(length) => {
                            pass(input, length, out);
                            self.state = State::next();
                        }
                        Skipped::Lost => self.state = State::Raw,
                    }
                    None
                }
                State::Collect { .. } => self.collect(input),
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
            State::Head { head, passed, .. } => out.extend_from_slice(head.get(passed..).unwrap_or_default()),
            State::Collect { heartbeat, .. } => heartbeat.put(None, out),
            State::Body(_) | State::Raw => {}
        }
    }

    /// Nothing is separated any more. Only right after a request has begun to go on: then nothing is kept back.
    pub fn give_up(&mut self) {
        self.state = State::Raw;
    }

    /// Whether a request is whole, or none has begun.
    pub fn is_between(&self) -> bool {
        matches!(&self.state, State::Head { head, .. } if head.is_empty())
    }

    /// Whether nothing is separated any more.
    pub fn is_lost(&self) -> bool {
        matches!(self.state, State::Raw)
    }

    /// How many bytes it holds.
    pub fn held(&self) -> usize {
        match &self.state {
            State::Head { head, .. } => head.len(),
            State::Collect { heartbeat, .. } => heartbeat.head.len() + heartbeat.body.len(),
            State::Body(_) | State::Raw => 0,
        }
    }

    /// In the body of a heartbeat.
    fn collect(&mut self, input: &mut &[u8]) -> Option<Step> {
        let most = match self.purpose {
            Purpose::Carry => usize::MAX, // Its length was looked at.
            Purpose::Read => READ_BYTES,
        };
        let State::Collect { heartbeat, skip } = &mut self.state else { return None };
        let (body, mut fits) = (&mut heartbeat.body, true);
        let skipped = skip.read(input, |data| {
            fits &= data.len() <= most - body.len();
            if fits {
                body.extend_from_slice(data);
            }
        });
        match skipped {
            Skipped::All => *input = &[],
            Skipped::Ended(length) => *input = input.get(length..).unwrap_or_default(),
            Skipped::Lost => {}
        }
        let next = match skipped {
            Skipped::All if fits => return None,
            Skipped::All | Skipped::Lost => State::Raw,
            Skipped::Ended(_) => State::next(),
        };
        match (std::mem::replace(&mut self.state, next), skipped) {
            (State::Collect { heartbeat, .. }, Skipped::Ended(_)) if fits => Some(Step::Heartbeat(heartbeat)),
            (State::Collect { skip, .. }, Skipped::All) => {
                self.state = State::Body(skip);
                None
            }
            _ => None,
        }
    }

    fn head(&mut self, input: &mut &[u8], out: &mut impl Out) -> Option<Step> {
        let State::Head { head, passed, is_heartbeat } = &mut self.state else { return None };
        // An empty line before a request is passed over by every server (RFC 9112, section 2.2).
        let empty = match &**head {
            [] if input.starts_with(b"\r\n") => Some(2),
            [b'\r'] if input.starts_with(b"\n") => Some(1),
            _ => None,
        };
        if let Some(length) = empty {
            out.put(head.get(*passed..).unwrap_or_default());
            pass(input, length, out);
            self.state = State::next();
            return None;
        }
        let (before, end) = (head.len(), end(head, input));
        // No more than that is copied: a piece may hold thousands of requests.
        let (more, rest) = input.split_at(end.unwrap_or(input.len()));
        head.extend_from_slice(more);
        *input = rest;
        let is_lost = head.len() > HEAD_BYTES
            || has_bare_line_end(head, before)
            || self.purpose == Purpose::Read && !begins_like_a_request(head);
        if end.is_none() || is_lost {
            // What has begun to go on is not kept back any more.
            if is_lost || *passed > 0 || !may_be_heartbeat(head, before, is_heartbeat) {
                out.put(head.get(*passed..).unwrap_or_default());
                *passed = head.len();
            }
            if is_lost {
                self.state = State::Raw;
            }
            return None;
        }
        let (head, passed) = (std::mem::take(head), *passed);
        self.state = State::Raw;
        let Some(request) = Request::read(&head) else {
            out.put(head.get(passed..).unwrap_or_default());
            return None;
        };
        let kept = request.kept(self.purpose).filter(|_| self.purpose == Purpose::Read || passed == 0);
        if let (Some((length_at, framing)), Kind::Heartbeat(era, node_uuid)) = (kept, &request.asked.kind) {
            let (era, node_uuid) = (*era, node_uuid.clone());
            let heartbeat = Heartbeat { head, length_at, body: SecretBytes::default(), era, node_uuid };
            self.state = State::Collect { heartbeat, skip: Skip::new(framing) };
            return (self.purpose == Purpose::Read).then_some(Step::Asked(request.asked));
        }
        out.put(head.get(passed..).unwrap_or_default());
        if !request.asked.upgrade {
            self.state = match request.framing {
                None | Some(Framing::Length(0)) => State::next(),
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
    /// Where its length stands.
    length_at: Option<Range<usize>>,
    /// Its body is compressed.
    encoded: bool,
}

impl Request {
    /// `None` where its end cannot be found.
    fn read(head: &[u8]) -> Option<Self> {
        let (method, target) = request_line(head)?;
        let (fields, kind) = (fields(head)?, classify(method, target));
        let upgrade = fields.upgrade || method == "CONNECT";
        Some(Self {
            asked: Asked {
                kind,
                bodiless: method == "HEAD",
                upgrade,
                expects: fields.expects,
                host: fields.host.clone(),
            },
            framing: fields.framing(),
            length_at: fields.length_at(),
            encoded: fields.encoded,
        })
    }

    /// Of a heartbeat whose body is taken whole: where its length stands, and how it ends.
    fn kept(&self, purpose: Purpose) -> Option<(Range<usize>, Framing)> {
        let is_plain = !self.asked.upgrade && !self.encoded && matches!(self.asked.kind, Kind::Heartbeat(..));
        match (purpose, self.framing.filter(|_| is_plain)?) {
            (Purpose::Carry, framing @ Framing::Length(1..=HEARTBEAT_BYTES)) if !self.asked.expects => {
                Some((self.length_at.clone()?, framing))
            }
            (Purpose::Read, framing @ (Framing::Length(1..=HEARTBEAT_BYTES) | Framing::Chunked)) => {
                Some((0..0, framing))
            }
            _ => None,
        }
    }
}

/// Whether it begins with a method or an empty line, as far as it came (RFC 9110, section 9.1: registered methods are upper
/// case).
fn begins_like_a_request(head: &[u8]) -> bool {
    if head == b"\r" {
        return true;
    }
    let method = head.iter().take_while(|byte| byte.is_ascii_uppercase() || **byte == b'-').count();
    method <= METHOD_BYTES && (method == head.len() || method > 0 && head.get(method) == Some(&b' '))
}

/// Whether what came of a head may be that of a heartbeat: only such a one is kept back. What stands before `from` has been
/// looked at.
fn may_be_heartbeat(head: &[u8], from: usize, is_heartbeat: &mut bool) -> bool {
    const POST: &[u8] = b"POST ";
    if head.len() <= POST.len() {
        return POST.starts_with(head);
    }
    if *is_heartbeat || !head.starts_with(POST) {
        return *is_heartbeat;
    }
    let news = head.get(from.saturating_sub(1)..).unwrap_or_default();
    if !news.windows(2).any(|two| two == b"\r\n") {
        return head.len() <= LINE_BYTES;
    }
    let kind = request_line(head).map(|(method, target)| classify(method, target));
    *is_heartbeat = matches!(kind, Some(Kind::Heartbeat(..)));
    *is_heartbeat
}

fn pass(input: &mut &[u8], length: usize, out: &mut impl Out) {
    let (passed, rest) = input.split_at(length.min(input.len()));
    out.put(passed);
    *input = rest;
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
