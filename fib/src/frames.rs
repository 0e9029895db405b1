//! The frames of one netlink datagram, found by their headers alone.

/// Length of `struct nlmsghdr` (`include/uapi/linux/netlink.h`).
const HEADER: usize = 16;

/// One netlink message: the fields of its header that matter here, and all its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// `nlmsg_type`.
    pub kind: u16,
    /// `nlmsg_flags`.
    pub flags: u16,
    /// `nlmsg_seq`.
    pub sequence: u32,
    /// Header and payload.
    pub bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// What follows its header.
    pub fn payload(&self) -> &'a [u8] {
        self.bytes.get(HEADER..).unwrap_or_default()
    }
}

/// A frame whose length is impossible; what follows it cannot be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokenFrame;

/// Walks the frames of `datagram`; ends after the first broken one.
pub fn frames(datagram: &[u8]) -> impl Iterator<Item = Result<Frame<'_>, BrokenFrame>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some((frame, length)) = first(rest) else {
            rest = &[];
            return Some(Err(BrokenFrame));
        };
        // Messages begin at multiples of four bytes (NLMSG_ALIGN).
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Ok(frame))
    })
}

fn first(bytes: &[u8]) -> Option<(Frame<'_>, usize)> {
    let half = |at: usize| Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let length = usize::try_from(word(0)?).ok().filter(|length| *length >= HEADER)?;
    let frame = Frame { kind: half(4)?, flags: half(6)?, sequence: word(8)?, bytes: bytes.get(..length)? };
    Some((frame, length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
        let length = HEADER + payload.len();
        let mut bytes = Vec::new();
        bytes.extend((length as u32).to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(payload);
        bytes.resize(length.next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn finds_every_frame_and_stops_at_a_broken_one() {
        let mut datagram = message(24, b"abcde");
        datagram.extend(message(20, b""));
        datagram.extend([9, 0, 0, 0]);
        let found: Vec<_> = frames(&datagram).collect();
        assert_eq!(found.len(), 3);
        assert_eq!(&found[0].unwrap().bytes[HEADER..], b"abcde");
        assert_eq!(found[1].unwrap().kind, 20);
        assert_eq!(found[2], Err(BrokenFrame));
    }

    proptest! {
        #[test]
        fn any_bytes_end_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(frames(&bytes).count() <= bytes.len() / HEADER + 1);
        }

        #[test]
        fn a_lying_length_is_broken(length in 0u32..16, rest in proptest::collection::vec(any::<u8>(), 12..40)) {
            let mut bytes = length.to_ne_bytes().to_vec();
            bytes.extend(rest);
            prop_assert_eq!(frames(&bytes).next(), Some(Err(BrokenFrame)));
        }
    }
}
