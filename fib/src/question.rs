//! One question and its answer over a blocking netlink socket, for every family of messages.

use std::time::Duration;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader,
    NetlinkMessage, NetlinkPayload, NetlinkSerializable,
};

use crate::frames::{BrokenFrame, Frame, frames};
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
    /// False where changes overtook the dump at every try: what is not found may be there all the same.
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

    /// Asks, and repeats a dump that changes have made inconsistent (NLM_F_DUMP_INTR). Returns what `pick` takes.
    ///
    /// # Errors
    /// `Refused` carries the kernel's error number; `Interrupted` where no try gave a consistent dump.
    pub fn ask<Q, M, T>(
        &mut self,
        question: Q,
        extent: Extent,
        pick: impl Fn(M) -> Option<T>,
    ) -> Result<Vec<T>, RtnlError>
    where
        Q: NetlinkSerializable,
        M: NetlinkDeserializable,
    {
        let seen = self.see(question, extent, pick)?;
        if seen.complete { Ok(seen.found) } else { Err(RtnlError::Interrupted) }
    }

    /// As [`QuestionSocket::ask`], but where no try gave a consistent dump, what the last one showed.
    ///
    /// # Errors
    /// `Refused` carries the kernel's error number.
    pub fn see<Q, M, T>(
        &mut self,
        question: Q,
        extent: Extent,
        pick: impl Fn(M) -> Option<T>,
    ) -> Result<Seen<T>, RtnlError>
    where
        Q: NetlinkSerializable,
        M: NetlinkDeserializable,
    {
        let mut header = NetlinkHeader::default();
        header.flags = extent.flags();
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(question));
        message.finalize();
        let mut last = Err(RtnlError::Interrupted);
        for _ in 0..DUMP_TRIES {
            self.sequence = self.sequence.wrapping_add(1);
            message.header.sequence_number = self.sequence;
            let mut bytes = vec![0; message.buffer_len()];
            message.serialize(&mut bytes);
            self.socket.send(&bytes)?;
            last = self.answer(extent, &pick);
            if !matches!(last, Err(RtnlError::Interrupted) | Ok(Seen { complete: false, .. })) {
                break;
            }
        }
        last
    }

    fn answer<M, T>(&mut self, extent: Extent, pick: &impl Fn(M) -> Option<T>) -> Result<Seen<T>, RtnlError>
    where
        M: NetlinkDeserializable,
    {
        let mut answer = Answer::to(self.sequence, extent);
        loop {
            let datagram = match self.socket.receive()? {
                Received::Datagram(bytes) => bytes,
                Received::Spoofed => continue,
                Received::Truncated => return Err(RtnlError::Undecodable("truncated".to_owned())),
                Received::Overrun => return Err(RtnlError::Interrupted),
            };
            if answer.take(datagram, pick)? {
                return Ok(answer.seen);
            }
        }
    }
}

/// The answer to one question, as its datagrams bring it. Pure.
#[derive(Debug)]
pub struct Answer<T> {
    sequence: u32,
    extent: Extent,
    pub(crate) seen: Seen<T>,
}

impl<T> Answer<T> {
    /// Nothing has come yet of the answer to the question with this sequence number.
    pub fn to(sequence: u32, extent: Extent) -> Self {
        Self { sequence, extent, seen: Seen { found: Vec::new(), complete: true } }
    }

    /// Takes what `pick` wants of a datagram's messages. True where the answer has ended with it.
    ///
    /// # Errors
    /// `Refused` carries the kernel's error number.
    pub fn take<M>(&mut self, datagram: &[u8], pick: &impl Fn(M) -> Option<T>) -> Result<bool, RtnlError>
    where
        M: NetlinkDeserializable,
    {
        for frame in frames(datagram) {
            let frame = frame.map_err(|BrokenFrame| RtnlError::Undecodable("broken frame".to_owned()))?;
            if frame.sequence != self.sequence {
                continue; // The rest of an answer that was given up.
            }
            self.seen.complete &= frame.flags & NLM_F_DUMP_INTR == 0;
            let decoded = NetlinkMessage::<M>::deserialize(frame.bytes);
            match decoded.map(|message| message.payload) {
                Ok(NetlinkPayload::InnerMessage(message)) => {
                    self.seen.found.extend(pick(message));
                    if self.extent == Extent::One {
                        self.seen.complete = true;
                        return Ok(true);
                    }
                }
                // The acknowledgement of an order is an error of number 0.
                Ok(NetlinkPayload::Error(error)) if error.raw_code() == 0 => return Ok(true),
                Ok(NetlinkPayload::Error(error)) => {
                    let errno = Errno(error.raw_code().saturating_abs());
                    return Err(match complaint(&frame) {
                        // EINVAL is also what a blackhole route answers, but then without a complaint.
                        Some(text) if errno == Errno::INVAL => RtnlError::Malformed(text),
                        _ => RtnlError::Refused(errno),
                    });
                }
                Ok(NetlinkPayload::Done(_)) => return Ok(true),
                Ok(_) => {}
                // One message of a dump that the decoder does not know must not hide the others.
                Err(error) if self.extent == Extent::Dump => {
                    tracing::debug!(%error, "a message of a dump cannot be read");
                }
                Err(error) => return Err(RtnlError::Undecodable(error.to_string())),
            }
        }
        Ok(false)
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
    use netlink_packet_route::route::{RouteFlags, RouteMessage};
    use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

    #[test]
    fn a_malformed_question_is_told_from_a_blackhole() {
        let mut socket = QuestionSocket::open(netlink_sys::protocols::NETLINK_ROUTE).unwrap();
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet6;
        message.header.flags = RouteFlags::LookupTable; // IPv6 refuses it.
        let question = RouteNetlinkMessage::GetRoute(message);
        let answer = socket.ask(question, Extent::One, Some::<RouteNetlinkMessage>);
        match answer {
            Err(RtnlError::Malformed(text)) => assert!(text.contains("flags"), "{text}"),
            other => panic!("{other:?}"),
        }
    }
}
