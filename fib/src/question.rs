//! One question and its answer over a blocking netlink socket, for every family of messages.

use std::time::Duration;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP, NLMSG_OVERRUN,
};

use crate::frames::{BrokenFrame, Frame, frames};
use crate::request::Request;
use crate::socket::{NetlinkSocket, Received};
use crate::{Errno, RtnlError};

/// The kernel answers inside the call that asks; a longer wait means that the answer was lost.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// A dump that changes overtake is begun again so often.
const DUMP_TRIES: usize = 5;

/// How many messages answer a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// One.
    One,
    /// All that match (NLM_F_DUMP).
    Dump,
    /// None: it is an order, and the kernel says only whether it did it (NLM_F_ACK).
    Nothing,
}

impl Extent {
    fn flags(self) -> u16 {
        NLM_F_REQUEST
            | match self {
                Self::One => 0,
                Self::Dump => NLM_F_DUMP,
                Self::Nothing => NLM_F_ACK,
            }
    }
}

/// What a dump showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen<T> {
    /// Each of them was there when the kernel wrote it.
    pub found: Vec<T>,
    /// False where changes overtook the dump at every try: what is not found may be there anyway.
    pub complete: bool,
}

/// The question socket of one netlink protocol.
#[derive(Debug)]
pub struct QuestionSocket {
    socket: NetlinkSocket,
    sequence: u32,
}

impl QuestionSocket {
    /// Opens it.
    ///
    /// # Errors
    /// Where the kernel lacks the protocol.
    pub fn open(protocol: isize) -> Result<Self, RtnlError> {
        let socket = NetlinkSocket::open(protocol)?;
        socket.set_read_timeout(ANSWER_TIMEOUT)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Asks for one thing. Returns what `pick` makes of the answer.
    ///
    /// # Errors
    /// `Refused` carries the kernel's error number; `Undecodable` where `pick` makes nothing of the answer.
    pub fn one<T>(
        &mut self,
        request: Request,
        mut pick: impl FnMut(&Frame<'_>) -> Option<T>,
    ) -> Result<T, RtnlError> {
        let mut found = None;
        self.put(request, Extent::One, &mut |fresh| {
            if let Step::Message(frame) = fresh {
                found = pick(frame);
            }
        })?;
        found.ok_or_else(|| {
            RtnlError::Undecodable("the answer is of another kind than the question".to_owned())
        })
    }

    /// Asks for everything that matches, and again where changes have made the answer inconsistent (NLM_F_DUMP_INTR).
    /// Returns what `pick` takes, which is what the last try showed.
    ///
    /// # Errors
    /// `Refused` carries the kernel's error number.
    pub fn dump<T>(
        &mut self,
        request: Request,
        mut pick: impl FnMut(&Frame<'_>) -> Option<T>,
    ) -> Result<Seen<T>, RtnlError> {
        let mut found = Vec::new();
        let complete = self.put(request, Extent::Dump, &mut |step| match step {
            Step::Again => found.clear(),
            Step::Message(frame) => found.extend(pick(frame)),
        })?;
        Ok(Seen { found, complete })
    }

    /// As [`QuestionSocket::dump`], for who needs all of it.
    ///
    /// # Errors
    /// Also `Interrupted`, where no try gave a consistent answer.
    pub fn all<T>(
        &mut self,
        request: Request,
        pick: impl FnMut(&Frame<'_>) -> Option<T>,
    ) -> Result<Vec<T>, RtnlError> {
        let seen = self.dump(request, pick)?;
        if seen.complete { Ok(seen.found) } else { Err(RtnlError::Interrupted) }
    }

    /// Gives an order.
    ///
    /// # Errors
    /// `Refused` carries the kernel's error number.
    pub fn order(&mut self, request: Request) -> Result<(), RtnlError> {
        self.put(request, Extent::Nothing, &mut |_| {}).map(drop)
    }

    /// Whether the answer was consistent.
    fn put(
        &mut self,
        mut request: Request,
        extent: Extent,
        take: &mut dyn FnMut(Step<'_, '_>),
    ) -> Result<bool, RtnlError> {
        let mut last = Err(RtnlError::Interrupted);
        for _ in 0..DUMP_TRIES {
            self.sequence = self.sequence.wrapping_add(1);
            self.socket.send(request.bytes(extent.flags(), self.sequence)?)?;
            take(Step::Again);
            last = self.answer(extent, take);
            if !matches!(last, Err(RtnlError::Interrupted) | Ok(false)) {
                break;
            }
        }
        last
    }

    fn answer(&mut self, extent: Extent, take: &mut dyn FnMut(Step<'_, '_>)) -> Result<bool, RtnlError> {
        let mut answer = Answer::to(self.sequence, extent);
        loop {
            let datagram = match self.socket.receive()? {
                Received::Datagram(bytes) => bytes,
                Received::Spoofed => continue,
                Received::Truncated => return Err(RtnlError::Undecodable("truncated".to_owned())),
                Received::Overrun => return Err(RtnlError::Interrupted),
            };
            if answer.take(datagram, &mut |frame| take(Step::Message(frame)))? {
                return Ok(answer.complete);
            }
        }
    }
}

/// What comes of a question, one after the other.
enum Step<'a, 'bytes> {
    /// It was put, perhaps again: what came before does not count.
    Again,
    /// A message of the answer.
    Message(&'a Frame<'bytes>),
}

/// The answer to one question, as its datagrams bring it. Pure.
#[derive(Debug)]
pub struct Answer {
    sequence: u32,
    extent: Extent,
    /// Whether nothing has changed meanwhile.
    complete: bool,
}

impl Answer {
    /// Nothing has come yet of the answer to the question with this sequence number.
    pub fn to(sequence: u32, extent: Extent) -> Self {
        Self { sequence, extent, complete: true }
    }

    /// Hands a datagram's messages over. True where the answer has ended with it.
    ///
    /// # Errors
    /// `Refused` carries the kernel's error number.
    pub fn take(&mut self, datagram: &[u8], message: &mut dyn FnMut(&Frame<'_>)) -> Result<bool, RtnlError> {
        for frame in frames(datagram) {
            let frame = frame.map_err(|BrokenFrame| RtnlError::Undecodable("broken frame".to_owned()))?;
            if frame.sequence != self.sequence {
                continue; // The rest of an answer that was given up.
            }
            self.complete &= frame.flags & NLM_F_DUMP_INTR == 0;
            match frame.kind {
                NLMSG_NOOP | NLMSG_OVERRUN => {}
                NLMSG_ERROR => {
                    let number = number(&frame)
                        .ok_or_else(|| RtnlError::Undecodable("an error without a number".to_owned()))?;
                    // The acknowledgement of an order is an error of number 0.
                    return if number == 0 { Ok(true) } else { Err(refusal(&frame, number)) };
                }
                // A dump that fails on its way says so at its end (`netlink_dump_done`, net/netlink/af_netlink.c).
                NLMSG_DONE => {
                    let failed = number(&frame).filter(|number| *number < 0);
                    return failed.map_or(Ok(true), |number| Err(refusal(&frame, number)));
                }
                _ => {
                    message(&frame);
                    if self.extent == Extent::One {
                        self.complete = true;
                        return Ok(true);
                    }
                }
            }
        }
        Ok(false)
    }
}

/// The error number of an answer.
fn number(frame: &Frame<'_>) -> Option<i32> {
    frame.payload().first_chunk().copied().map(i32::from_ne_bytes)
}

fn refusal(frame: &Frame<'_>, number: i32) -> RtnlError {
    let errno = Errno(number.saturating_abs());
    match complaint(frame) {
        // EINVAL is also what a blackhole route answers, but then without a complaint.
        Some(text) if errno == Errno::INVAL => RtnlError::Malformed(text),
        _ => RtnlError::Refused(errno),
    }
}

/// The kernel's text about what is wrong with a question (`NLMSGERR_ATTR_MSG`, include/uapi/linux/netlink.h).
fn complaint(frame: &Frame<'_>) -> Option<String> {
    /// The answer's header, the error number, the header of the question (capped: not its body).
    const ATTRIBUTES: usize = 16 + 4 + 16;
    const NLM_F_ACK_TLVS: u16 = 0x200;
    const NLMSGERR_ATTR_MSG: u16 = 1;
    let mut rest = frame.bytes.get(ATTRIBUTES..).filter(|_| frame.flags & NLM_F_ACK_TLVS != 0)?;
    loop {
        let half = |at: usize| Some(u16::from_ne_bytes(rest.get(at..at + 2)?.try_into().ok()?));
        let length = usize::from(half(0)?);
        let value = rest.get(4..length)?;
        if half(2)? == NLMSGERR_ATTR_MSG {
            let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netlink_packet_route::AddressFamily;
    use netlink_packet_route::route::{RouteFlags, RouteHeader};

    #[test]
    fn a_malformed_question_differs_from_a_blackhole() {
        let mut socket = QuestionSocket::open(netlink_sys::protocols::NETLINK_ROUTE).unwrap();
        let header = RouteHeader {
            address_family: AddressFamily::Inet6,
            flags: RouteFlags::LookupTable, // IPv6 refuses it.
            ..RouteHeader::default()
        };
        let answer = socket.one(Request::new(crate::kernel::GET_ROUTE, &header), |_| Some(()));
        match answer {
            Err(RtnlError::Malformed(text)) => assert!(text.contains("flags"), "{text}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_dump_that_fails_at_its_end_is_no_complete_one() {
        let done = |number: i32| {
            let mut bytes = [&20u32.to_ne_bytes()[..], &NLMSG_DONE.to_ne_bytes(), &[2, 0]].concat();
            bytes.extend([&7u32.to_ne_bytes()[..], &[0; 4], &number.to_ne_bytes()].concat());
            Answer::to(7, Extent::Dump).take(&bytes, &mut |_| {})
        };
        assert!(done(0).unwrap());
        assert_eq!(done(-19).unwrap_err().errno(), Some(Errno::NODEV));
    }
}
