//! A question as bytes: written once, into a buffer of fixed size.

use netlink_packet_core::{Emitable, NetlinkHeader, NetlinkSerializable};

use crate::RtnlError;

/// Room for the longest question: the two headers, an extension mask and an alternative name of 127 bytes with its zero
/// (`ALTIFNAMSIZ`, include/uapi/linux/if.h).
const ROOM: usize = 192;
/// Length of `struct nlmsghdr` (include/uapi/linux/netlink.h).
const HEADER: usize = 16;

/// One question. It may be sent several times, each time with another sequence number.
#[derive(Debug, Clone)]
pub struct Request {
    bytes: [u8; ROOM],
    /// `None` where it did not fit.
    length: Option<usize>,
    kind: u16,
}

impl Request {
    /// A message of the type `kind` that begins with this header.
    pub fn new(kind: u16, header: &impl Emitable) -> Self {
        let mut request = Self { bytes: [0; ROOM], length: Some(HEADER), kind };
        if let Some(place) = request.grow(header.buffer_len()) {
            header.emit(place);
        }
        request
    }

    /// A message of another family, which needs no speed.
    pub fn of(message: &impl NetlinkSerializable) -> Self {
        let mut request = Self { bytes: [0; ROOM], length: Some(HEADER), kind: message.message_type() };
        if let Some(place) = request.grow(message.buffer_len()) {
            message.serialize(place);
        }
        request
    }

    /// Adds an attribute.
    pub fn with(mut self, kind: u16, value: &[u8]) -> Self {
        /// Length of `struct nlattr`.
        const HEAD: usize = 4;
        let length = HEAD + value.len();
        if let (Ok(word), Some(place)) = (u16::try_from(length), self.grow(length.next_multiple_of(4)))
            && let Some((head, rest)) = place.split_first_chunk_mut::<HEAD>()
            && let Some(room) = rest.get_mut(..value.len())
        {
            let ([a, b], [c, d]) = (word.to_ne_bytes(), kind.to_ne_bytes());
            *head = [a, b, c, d];
            room.copy_from_slice(value);
        }
        self
    }

    /// The bytes to send.
    ///
    /// # Errors
    /// Where it did not fit.
    pub fn bytes(&mut self, flags: u16, sequence: u32) -> Result<&[u8], RtnlError> {
        let too_long = || RtnlError::Malformed("it is too long".to_owned());
        let length = self.length.ok_or_else(too_long)?;
        let mut header = NetlinkHeader::default();
        header.length = u32::try_from(length).map_err(|_| too_long())?;
        (header.message_type, header.flags, header.sequence_number) = (self.kind, flags, sequence);
        let bytes = self.bytes.get_mut(..length).ok_or_else(too_long)?;
        header.emit(bytes);
        Ok(bytes)
    }

    /// The next so many bytes, all zero; a multiple of four follows.
    fn grow(&mut self, by: usize) -> Option<&mut [u8]> {
        let start = self.length?;
        self.length = start.checked_add(by).filter(|end| *end <= ROOM);
        self.bytes.get_mut(start..self.length?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use netlink_packet_route::link::LinkHeader;

    #[test]
    fn what_does_not_fit_is_not_sent() {
        let longest = Request::new(18, &LinkHeader::default()).with(53, &[b'x'; 128]).with(29, &[0; 4]);
        assert_eq!(longest.clone().bytes(0, 1).unwrap().len(), 16 + 16 + 4 + 128 + 8);
        let mut too_long = longest.with(53, &[b'x'; 128]);
        assert!(matches!(too_long.bytes(0, 1), Err(RtnlError::Malformed(_))));
        let mut endless = Request::new(18, &LinkHeader::default()).with(53, &vec![0; 1 << 17]);
        assert!(endless.bytes(0, 1).is_err());
    }
}
