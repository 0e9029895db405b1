//! The head of an HTTP/1.1 message (RFC 9112): as much of it as is needed to find where the message ends.

use std::ops::Range;

/// The largest head that is followed.
pub const HEAD_BYTES: usize = 64 * 1024;

/// The longest name and port of a host.
const HOST_BYTES: usize = 253 + 6;

/// How the end of a message is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// So many bytes behind the head.
    Length(u64),
    /// Chunked.
    Chunked,
    /// It ends with the connection.
    UntilClose,
}

/// The fields of a head that matter.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// The value of Content-Length, and where it stands.
    length: Option<(u64, Range<usize>)>,
    chunked: bool,
    /// The connection becomes another protocol.
    pub upgrade: bool,
    /// The body waits until the server has answered 100 (RFC 9110, section 10.1.1).
    pub expects: bool,
    /// The body is compressed.
    pub encoded: bool,
    /// Whom it is for; none where two fields contradict each other.
    pub host: Option<String>,
}

impl Fields {
    /// Where Content-Length stands.
    pub fn length_at(&self) -> Option<Range<usize>> {
        self.length.as_ref().map(|(_, place)| place.clone())
    }

    /// How a body of this message ends; `None` where neither field tells.
    pub fn framing(&self) -> Option<Framing> {
        if self.chunked {
            return Some(Framing::Chunked);
        }
        self.length.as_ref().map(|(length, _)| Framing::Length(*length))
    }
}

/// How many bytes of `more` belong to the head that `begun` is the beginning of; `None`: all, and it goes on.
pub fn end(begun: &[u8], more: &[u8]) -> Option<usize> {
    let place = |bytes: &[u8]| bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
    let tail = begun.get(begun.len().saturating_sub(3)..).unwrap_or_default();
    let seam = [tail, more.get(..3).unwrap_or(more)].concat();
    place(&seam).map(|end| end - tail.len()).or_else(|| place(more))
}

/// Whether a line ends without CR, from this place on: who reads it as an end and who does not see different messages.
pub fn has_bare_line_end(bytes: &[u8], from: usize) -> bool {
    let mut before = from.checked_sub(1).and_then(|at| bytes.get(at)).copied();
    bytes.get(from..).unwrap_or_default().iter().any(|byte| {
        let is_bare = *byte == b'\n' && before != Some(b'\r');
        before = Some(*byte);
        is_bare
    })
}

/// Method and target of a request; `None` where it is not one of HTTP/1.
pub fn request_line(head: &[u8]) -> Option<(&str, &str)> {
    let line = std::str::from_utf8(lines(head).next()?.1).ok()?;
    let mut words = line.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let is_whole = words.next().is_none() && !method.is_empty() && !target.is_empty();
    (is_whole && matches!(version, "HTTP/1.1" | "HTTP/1.0")).then_some((method, target))
}

/// The status of an answer; `None` where it is not one of HTTP/1.
pub fn status(head: &[u8]) -> Option<u16> {
    let line = lines(head).next()?.1;
    let rest = line.strip_prefix(b"HTTP/1.1 ").or_else(|| line.strip_prefix(b"HTTP/1.0 "))?;
    std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok()
}

/// The fields; `None` where two readers could see different ends of the message.
pub fn fields(head: &[u8]) -> Option<Fields> {
    let (mut fields, mut hosts) = (Fields::default(), false);
    for (start, line) in lines(head).skip(1) {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (line.get(..colon)?, line.get(colon + 1..)?);
        if name.is_empty() || name.iter().any(u8::is_ascii_whitespace) {
            return None; // A continued line among them.
        }
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        let trimmed = value.trim_ascii();
        if is("content-length") {
            let digits = std::str::from_utf8(trimmed).ok()?;
            if fields.length.is_some()
                || digits.is_empty()
                || !digits.bytes().all(|byte| byte.is_ascii_digit())
            {
                return None;
            }
            let begins = start + colon + 1 + (value.len() - value.trim_ascii_start().len());
            fields.length = Some((digits.parse().ok()?, begins..begins + digits.len()));
        } else if is("transfer-encoding") {
            if fields.chunked || !trimmed.eq_ignore_ascii_case(b"chunked") {
                return None;
            }
            fields.chunked = true;
        } else if is("host") {
            let host = std::str::from_utf8(trimmed).ok().filter(|host| host.len() <= HOST_BYTES);
            fields.host = host.filter(|_| !hosts).map(str::to_owned);
            hosts = true;
        } else if is("upgrade") {
            fields.upgrade = true;
        } else if is("expect") {
            fields.expects = true;
        } else if is("content-encoding") {
            fields.encoded = true;
        }
    }
    let is_ambiguous = fields.chunked && fields.length.is_some();
    (!is_ambiguous).then_some(fields)
}

/// The lines of a head with the place where each begins, without the empty one at its end.
fn lines(head: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut place = 0;
    std::iter::from_fn(move || {
        let rest = head.get(place..)?;
        let length = rest.windows(2).position(|two| two == b"\r\n").unwrap_or(rest.len());
        let line = (place, rest.get(..length)?);
        place += length + 2;
        (!line.1.is_empty()).then_some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_where_every_reader_sees_its_end() {
        let framing = |fields_text: &str| {
            let head = format!("POST / HTTP/1.1\r\n{fields_text}\r\n");
            fields(head.as_bytes()).map(|fields| fields.framing())
        };
        assert_eq!(framing("Host: x\r\n"), Some(None));
        assert_eq!(framing("content-length:  12 \r\n"), Some(Some(Framing::Length(12))));
        assert_eq!(framing("Transfer-Encoding: Chunked\r\n"), Some(Some(Framing::Chunked)));
        for ambiguous in [
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: 1, 1\r\n",
            "Content-Length:\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Content-Length : 1\r\n",
            "Host: x\r\n y\r\n",
            "nothing\r\n",
        ] {
            assert_eq!(framing(ambiguous), None, "{ambiguous:?}");
        }
        assert!(has_bare_line_end(b"GET / HTTP/1.1\n", 0) && has_bare_line_end(b"a\n", 1));
        assert!(!has_bare_line_end(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 0));
    }

    #[test]
    fn first_lines() {
        assert_eq!(request_line(b"GET /a HTTP/1.1\r\n\r\n"), Some(("GET", "/a")));
        for other in ["GET /a HTTP/2\r\n", "GET  /a HTTP/1.1\r\n", "GET /a\r\n", "\r\n", "\u{16}\u{3}"] {
            assert_eq!(request_line(other.as_bytes()), None, "{other:?}");
        }
        assert_eq!(status(b"HTTP/1.1 202 Accepted\r\n\r\n"), Some(202));
        assert_eq!(status(b"HTTP/1.0 400\r\n\r\n"), Some(400));
        assert_eq!(status(b"SSH-2.0"), None);
    }
}
