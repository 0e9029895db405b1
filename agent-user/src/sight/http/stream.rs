//! One direction of a TCP connection: segments in any order in, its bytes in order out. Pure.

use zeroize::Zeroizing;

/// So many bytes wait for what comes before them.
const HELD: usize = 64 * 1024;
/// So many segments do.
const SEGMENTS: usize = 64;
/// The largest window of TCP (RFC 7323, section 2.3): what is farther away is not of this connection.
const WINDOW: i32 = 1 << 30;

/// Bytes in order: whether something is missing before them, and they.
pub type Piece = (bool, Zeroizing<Vec<u8>>);

/// One direction.
#[derive(Debug, Default)]
pub struct Stream {
    /// The number of the next byte; `None` before anything has come.
    next: Option<u32>,
    /// What came too early, each with the number of its first byte.
    held: Vec<(u32, Zeroizing<Vec<u8>>)>,
    /// Something is missing before the next piece.
    lost: bool,
    /// Its sender has ended it.
    pub ended: bool,
}

impl Stream {
    /// It begins with this number.
    pub fn at(next: u32) -> Self {
        Self { next: Some(next), ..Self::default() }
    }

    /// Whether nothing of it is known.
    pub fn is_untouched(&self) -> bool {
        self.next.is_none()
    }

    /// What was put out last did not arrive.
    pub fn lose(&mut self) {
        self.lost = true;
    }

    /// A segment has come.
    pub fn push(&mut self, sequence: u32, payload: &[u8]) -> Vec<Piece> {
        if payload.is_empty() {
            return Vec::new();
        }
        let next = *self.next.get_or_insert_with(|| {
            self.lost = true; // It began before we looked.
            sequence
        });
        let ahead = distance(next, sequence);
        if ahead.unsigned_abs() > WINDOW.unsigned_abs() {
            return Vec::new();
        }
        if ahead <= 0 {
            let known = usize::try_from(-ahead).unwrap_or(usize::MAX);
            let new = payload.get(known..).unwrap_or_default();
            return if new.is_empty() { Vec::new() } else { self.put(new.to_vec().into()) };
        }
        if !self.held.iter().any(|(held, bytes)| *held == sequence && bytes.len() >= payload.len()) {
            self.held.push((sequence, payload.to_vec().into()));
        }
        let bytes: usize = self.held.iter().map(|(_, bytes)| bytes.len()).sum();
        if bytes > HELD || self.held.len() > SEGMENTS { self.skip_to_held() } else { Vec::new() }
    }

    /// The other side has everything before this number: what has not come by now was not seen, and will not come.
    pub fn acknowledged(&mut self, number: u32) -> Vec<Piece> {
        let mut pieces = Vec::new();
        while self.next.is_some_and(|next| (1..=WINDOW).contains(&distance(next, number))) {
            let nearest = self.nearest().filter(|held| distance(*held, number) > 0);
            if nearest.is_none() {
                (self.next, self.lost) = (Some(number), true);
                break;
            }
            pieces.extend(self.skip_to_held());
        }
        pieces
    }

    fn nearest(&self) -> Option<u32> {
        let next = self.next?;
        self.held.iter().map(|(held, _)| *held).min_by_key(|held| distance(next, *held))
    }

    fn skip_to_held(&mut self) -> Vec<Piece> {
        let Some(nearest) = self.nearest() else { return Vec::new() };
        (self.next, self.lost) = (Some(nearest), true);
        self.ready()
    }

    fn put(&mut self, bytes: Zeroizing<Vec<u8>>) -> Vec<Piece> {
        let mut pieces = vec![self.piece(bytes)];
        pieces.extend(self.ready());
        pieces
    }

    /// What was held and has its turn now.
    fn ready(&mut self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        while let Some(next) = self.next
            && let Some(at) = self.held.iter().position(|(held, _)| distance(next, *held) <= 0)
        {
            let (held, bytes) = self.held.swap_remove(at);
            let known = usize::try_from(distance(held, next)).unwrap_or(usize::MAX);
            let new = bytes.get(known..).unwrap_or_default();
            if !new.is_empty() {
                pieces.push(self.piece(new.to_vec().into()));
            }
        }
        pieces
    }

    fn piece(&mut self, bytes: Zeroizing<Vec<u8>>) -> Piece {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.next = self.next.map(|next| next.wrapping_add(length));
        (std::mem::take(&mut self.lost), bytes)
    }
}

/// How far the second number is ahead of the first one: they wrap.
fn distance(from: u32, to: u32) -> i32 {
    to.wrapping_sub(from).cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(pieces: Vec<Piece>) -> Vec<(bool, String)> {
        let text = |(lost, bytes): Piece| (lost, String::from_utf8(bytes.to_vec()).unwrap());
        pieces.into_iter().map(text).collect()
    }

    fn sound(words: &[&str]) -> Vec<(bool, String)> {
        words.iter().map(|word| (false, (*word).to_owned())).collect()
    }

    #[test]
    fn repeated_overlapping_and_early_segments() {
        let start = u32::MAX - 2; // The numbers wrap.
        let mut stream = Stream::at(start);
        assert_eq!(text(stream.push(start, b"abc")), sound(&["abc"]));
        assert_eq!(text(stream.push(start, b"abc")), []);
        assert_eq!(text(stream.push(start.wrapping_add(1), b"bcde")), sound(&["de"]));
        assert_eq!(text(stream.push(6, b"jk")), []);
        assert_eq!(text(stream.push(6, b"jk")), []);
        assert_eq!(text(stream.push(2, b"fghijk")), sound(&["fghijk"]));
        assert_eq!(text(stream.push(8, b"l")), sound(&["l"]));
        assert_eq!(text(stream.push(9_u32.wrapping_add(1 << 31), b"far")), []);
    }

    #[test]
    fn what_is_acknowledged_and_was_not_seen_is_lost() {
        let mut stream = Stream::at(0);
        assert_eq!(text(stream.push(3, b"def")), []);
        assert_eq!(text(stream.acknowledged(0)), []);
        assert_eq!(text(stream.acknowledged(6)), [(true, "def".to_owned())]);
        assert_eq!(text(stream.acknowledged(9)), []);
        assert_eq!(text(stream.push(9, b"jkl")), [(true, "jkl".to_owned())]);
        assert_eq!(text(stream.push(12, b"mno")), sound(&["mno"]));
        // It began before the daemon looked.
        assert_eq!(text(Stream::default().push(100, b"x")), [(true, "x".to_owned())]);
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut stream = Stream::at(0);
        let large = vec![b'x'; 40_000];
        assert_eq!(stream.push(10, &large).len(), 0);
        let pieces = stream.push(50_010, &large);
        assert_eq!(
            pieces.iter().map(|(lost, bytes)| (*lost, bytes.len())).collect::<Vec<_>>(),
            [(true, 40_000)]
        );
        let mut stream = Stream::at(0);
        let pieces: usize = (0..1000).map(|index| stream.push(10 + index * 20, b"x").len()).sum();
        assert!(pieces > 900 && stream.held.len() <= SEGMENTS, "{pieces}");
    }

    proptest! {
        #[test]
        fn in_any_order_the_same_bytes_come_out(order in Just((0..20u32).collect::<Vec<_>>()).prop_shuffle(), start in any::<u32>()) {
            let bytes: Vec<u8> = (0..200).collect();
            let mut stream = Stream::at(start);
            let mut out = Vec::new();
            for index in order {
                let at = index as usize * 10;
                // Each reaches into the next one.
                let segment = bytes.get(at..(at + 13).min(200)).unwrap();
                for (lost, piece) in stream.push(start.wrapping_add(index * 10), segment) {
                    prop_assert!(!lost);
                    out.extend_from_slice(&piece);
                }
            }
            prop_assert_eq!(out, bytes);
        }
    }
}
