//! The answers of one connection, read while they pass: none is changed, none waits.

use std::collections::VecDeque;

use text::SecretBytes;

use super::body::Kind;
use super::head::{Framing, HEAD_BYTES, end, fields, status};
use super::skip::{Skip, Skipped};
use super::split::Asked;

/// So many requests of a connection await their answer; IPA has one at a time.
pub const PENDING: usize = 32;
/// So much of a refusal is looked at.
const REFUSAL_BYTES: usize = 64 * 1024;
/// The largest answer to a lookup that is read: that of a large node has some 100 KiB.
const LOOKUP_BYTES: usize = 128 * 1024;

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// To which request.
    pub asked: Asked,
    /// The HTTP status.
    pub status: u16,
    /// The body, where a heartbeat is not answered with 2xx; where answers are read, that of a lookup too. It is empty
    /// where it is compressed.
    pub body: SecretBytes,
    /// The body was too large, and its end is missing.
    pub cut: bool,
}

/// Follows the answers.
#[derive(Debug, Default)]
pub struct Answers {
    /// Requests without an answer, the oldest first.
    asked: VecDeque<Asked>,
    state: State,
    /// A lookup's answer is read.
    reads: bool,
}

#[derive(Debug)]
enum State {
    Head(SecretBytes),
    /// A body; of one that is wanted, the answer so far.
    Body(Skip, Option<Answer>),
    Raw,
}

impl Default for State {
    fn default() -> Self {
        Self::Head(SecretBytes::default())
    }
}

impl Answers {
    /// Reads what a lookup is answered, too.
    pub fn reading() -> Self {
        Self { reads: true, ..Self::default() }
    }

    /// A request goes on.
    pub fn expect(&mut self, asked: Asked) {
        self.asked.push_back(asked);
    }

    /// Which answer belongs to which request is no longer known.
    pub fn give_up(&mut self) {
        self.state = State::Raw;
    }

    /// The requests whose answer is not whole.
    pub fn open(&self) -> impl Iterator<Item = &Asked> {
        self.asked.iter()
    }

    /// Whether nothing is on its way.
    pub fn is_idle(&self) -> bool {
        self.asked.is_empty() && matches!(&self.state, State::Head(head) if head.is_empty())
    }

    /// Whether an answer has begun that nobody asked for.
    pub fn is_unasked(&self) -> bool {
        self.asked.is_empty() && matches!(&self.state, State::Head(head) if !head.is_empty())
    }

    /// Whether nothing is separated any more.
    pub fn is_lost(&self) -> bool {
        matches!(self.state, State::Raw)
    }

    /// How many bytes it holds.
    pub fn held(&self) -> usize {
        match &self.state {
            State::Head(head) => head.len(),
            State::Body(_, wanted) => wanted.as_ref().map_or(0, |answer| answer.body.len()),
            State::Raw => 0,
        }
    }

    /// Takes a piece of the answers, and gives those that are known now.
    pub fn take(&mut self, mut piece: &[u8]) -> Vec<Answer> {
        let mut known = Vec::new();
        while !piece.is_empty() {
            match &mut self.state {
                State::Raw => break,
                State::Head(head) => {
                    let end = end(head, piece);
                    let (more, rest) = piece.split_at(end.unwrap_or(piece.len()));
                    head.extend_from_slice(more);
                    if head.len() > HEAD_BYTES {
                        self.state = State::Raw;
                        break;
                    }
                    if end.is_none() {
                        break;
                    }
                    piece = rest;
                    let head = std::mem::take(head);
                    known.extend(self.begin(&head));
                }
                State::Body(skip, wanted) => {
                    let skipped = skip.read(piece, |data| {
                        if let Some(answer) = wanted.as_mut() {
                            answer.add(data);
                        }
                    });
                    let length = match skipped {
                        Skipped::Ended(length) => length,
                        Skipped::All | Skipped::Lost => piece.len(),
                    };
                    piece = piece.get(length..).unwrap_or_default();
                    if skipped != Skipped::All {
                        known.extend(wanted.take());
                        self.end();
                        if skipped == Skipped::Lost {
                            self.state = State::Raw;
                        }
                    }
                }
            }
        }
        known
    }

    /// The connection ends: gives an answer that ended with it, and the requests that got none.
    pub fn finish(&mut self) -> (Option<Answer>, Vec<Asked>) {
        let last = match std::mem::replace(&mut self.state, State::Raw) {
            State::Body(_, wanted) => {
                self.asked.pop_front();
                wanted
            }
            State::Head(_) | State::Raw => None,
        };
        (last, self.asked.drain(..).collect())
    }

    /// An answer begins; given where its status is all that matters.
    fn begin(&mut self, head: &[u8]) -> Option<Answer> {
        self.state = State::Raw;
        let (status, fields) = (status(head)?, fields(head)?);
        let asked = self.asked.front()?.clone();
        if status == 101 {
            self.asked.clear(); // What follows is no HTTP.
            return None;
        }
        if status < 200 {
            self.state = State::default();
            return None;
        }
        let framing = match fields.framing() {
            _ if asked.bodiless || matches!(status, 204 | 304) => Framing::Length(0),
            Some(framing) => framing,
            None => Framing::UntilClose,
        };
        let is_wanted = match asked.kind {
            _ if fields.encoded => false,
            Kind::Heartbeat(..) => status >= 300,
            Kind::Lookup => self.reads && status == 200,
            Kind::Inspection | Kind::Other => false,
        };
        let answer = Answer { asked, status, body: SecretBytes::default(), cut: false };
        if framing == Framing::Length(0) {
            self.end();
            return Some(answer);
        }
        let (now, later) = if is_wanted { (None, Some(answer)) } else { (Some(answer), None) };
        self.state = State::Body(Skip::new(framing), later);
        now
    }

    fn end(&mut self) {
        self.asked.pop_front();
        self.state = State::default();
    }
}

impl Answer {
    fn add(&mut self, data: &[u8]) {
        let most = if self.asked.kind == Kind::Lookup { LOOKUP_BYTES } else { REFUSAL_BYTES };
        let room = most.saturating_sub(self.body.len()).min(data.len());
        self.cut |= room < data.len();
        self.body.extend_from_slice(data.get(..room).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::Era;

    fn asked(kind: Kind) -> Asked {
        Asked { kind, bodiless: false, upgrade: false, expects: false, host: None }
    }

    #[test]
    fn answers_are_separated_however_they_come() {
        let beat = || asked(Kind::Heartbeat(Era::Current, "n".to_owned()));
        let bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
            HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 No\r\nContent-Length: 4\r\n\r\nwhy?\
            HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\nHTTP/1.0 301 Away\r\n\r\nthere";
        for size in 1..bytes.len() {
            let mut answers = Answers::default();
            for one in [asked(Kind::Lookup), beat(), beat(), beat(), asked(Kind::Other)] {
                answers.expect(one);
            }
            let mut known: Vec<_> = bytes.chunks(size).flat_map(|piece| answers.take(piece)).collect();
            let (last, unanswered) = answers.finish();
            known.extend(last);
            let seen: Vec<_> = known.iter().map(|answer| (answer.status, &*answer.body)).collect();
            let expected = [(200, &b""[..]), (400, b"why?"), (202, b""), (301, b"there")];
            assert_eq!(seen, expected, "in pieces of {size}");
            assert_eq!(unanswered, [asked(Kind::Other)]);
        }
    }
}
