//! Finding the end of a body while it passes.

use super::head::Framing;

/// The longest line of a chunk's head or of a trailer.
const LINE_BYTES: usize = 8 * 1024;

/// A body that passes.
#[derive(Debug)]
pub struct Skip {
    left: Left,
}

#[derive(Debug)]
enum Left {
    Bytes(u64),
    Chunked(Chunk),
    UntilClose,
}

/// Where in a chunked body (RFC 9112, section 7.1).
#[derive(Debug)]
enum Chunk {
    /// In the line with the size.
    Head(Vec<u8>),
    Data(u64),
    /// Behind the data: so many bytes of CR LF are left.
    DataEnd(u8),
    /// In a trailer's line, of which so many bytes were seen; the last one was this.
    Trailer(usize, u8),
}

/// How far a piece of a body went.
#[derive(Debug, PartialEq, Eq)]
pub enum Skipped {
    /// All of it belongs to the body, which goes on.
    All,
    /// The body ended after so many bytes.
    Ended(usize),
    /// It cannot be followed.
    Lost,
}

impl Skip {
    /// Of a body that ends so.
    pub fn new(framing: Framing) -> Self {
        Self {
            left: match framing {
                Framing::Length(length) => Left::Bytes(length),
                Framing::Chunked => Left::Chunked(Chunk::Head(Vec::new())),
                Framing::UntilClose => Left::UntilClose,
            },
        }
    }

    /// Takes the next piece.
    pub fn take(&mut self, piece: &[u8]) -> Skipped {
        self.read(piece, |_| {})
    }

    /// Takes the next piece, and gives what it holds of the body: without the frames of chunks.
    pub fn read(&mut self, piece: &[u8], mut data: impl FnMut(&[u8])) -> Skipped {
        match &mut self.left {
            Left::UntilClose => {
                data(piece);
                Skipped::All
            }
            Left::Bytes(left) => {
                let taken = usize::try_from(*left).map_or(piece.len(), |left| left.min(piece.len()));
                *left -= taken as u64;
                data(piece.get(..taken).unwrap_or_default());
                if *left == 0 { Skipped::Ended(taken) } else { Skipped::All }
            }
            Left::Chunked(chunk) => chunk.read(piece, data),
        }
    }
}

impl Chunk {
    fn read(&mut self, piece: &[u8], mut data: impl FnMut(&[u8])) -> Skipped {
        let mut place = 0;
        while let Some(byte) = piece.get(place).copied() {
            let next = match self {
                Self::Data(left) => {
                    let rest = piece.len() - place;
                    let taken = usize::try_from(*left).map_or(rest, |left| left.min(rest));
                    *left -= taken as u64;
                    data(piece.get(place..place + taken).unwrap_or_default());
                    place += taken;
                    if *left == 0 {
                        *self = Self::DataEnd(2);
                    }
                    continue;
                }
                Self::DataEnd(left) => match (*left, byte) {
                    (2, b'\r') => Self::DataEnd(1),
                    (1, b'\n') => Self::Head(Vec::new()),
                    _ => return Skipped::Lost,
                },
                Self::Head(line) => {
                    line.push(byte);
                    match (line.strip_suffix(b"\r\n"), byte) {
                        (Some(line), _) => match size(line) {
                            Some(0) => Self::Trailer(0, 0),
                            Some(size) => Self::Data(size),
                            None => return Skipped::Lost,
                        },
                        (None, b'\n') => return Skipped::Lost,
                        (None, _) if line.len() > LINE_BYTES => return Skipped::Lost,
                        (None, _) => {
                            place += 1;
                            continue;
                        }
                    }
                }
                Self::Trailer(seen, before) => match (*seen, *before, byte) {
                    (1, b'\r', b'\n') => return Skipped::Ended(place + 1),
                    (_, b'\r', b'\n') => Self::Trailer(0, 0),
                    (_, b'\r', _) | (_, _, b'\n') => return Skipped::Lost,
                    (LINE_BYTES.., _, _) => return Skipped::Lost,
                    (seen, _, byte) => Self::Trailer(seen + 1, byte),
                },
            };
            *self = next;
            place += 1;
        }
        Skipped::All
    }
}

/// The size in a chunk's head; what stands behind `;` is an extension.
fn size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?.trim_ascii_end();
    let is_hexadecimal = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok().filter(|_| is_hexadecimal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunked_body_ends_behind_its_trailers() {
        let body = b"4;x=1\r\nWiki\r\n0A \r\n0123456789\r\n0\r\nA: b\r\n\r\n";
        for split in 0..body.len() {
            let (mut skip, mut data) = (Skip::new(Framing::Chunked), Vec::new());
            let (first, rest) = body.split_at(split);
            assert_eq!(skip.read(first, |piece| data.extend_from_slice(piece)), Skipped::All);
            let behind = [rest, b"GET"].concat();
            let ended = skip.read(&behind, |piece| data.extend_from_slice(piece));
            assert_eq!(ended, Skipped::Ended(rest.len()), "split at {split}");
            assert_eq!(data, b"Wiki0123456789");
        }
        for broken in [&b"x\r\n"[..], b"1\n", b"1\r\nab\r\n", b"\r\n", b"0\r\nA\n"] {
            assert_eq!(Skip::new(Framing::Chunked).take(broken), Skipped::Lost, "{broken:?}");
        }
    }
}
