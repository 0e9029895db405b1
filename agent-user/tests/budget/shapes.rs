//! Bodies that are hard to read: a beginning and an end that a reader wants, and between them one thing over and over.

use std::io::Write;

/// What is repeated.
pub const UNITS: [&[u8]; 52] = [
    b"a",
    b"0",
    b" ",
    b"\n",
    b"\r\n",
    b"\t",
    b"\0",
    b"\x7f",
    b"\xff",
    b"\xc3",
    "\u{fffd}".as_bytes(),
    "\u{202e}".as_bytes(),
    "\u{2028}".as_bytes(),
    "\u{10ffff}".as_bytes(),
    b"\"",
    b"'",
    b"\\",
    b"\\\\",
    b"\\\"",
    b"\\u0041",
    b"\\ud800",
    b"\\n",
    b",",
    b";",
    b":",
    b"=",
    b"/",
    b"%",
    b"%41",
    b"$",
    b"${a}",
    b"@",
    b"#",
    b"- ",
    b"- a\n",
    b"[",
    b"{\"a\":",
    b"[],",
    b"\"a\":0,",
    b"agent_token",
    b"agent_token=",
    b"a=b ",
    b"a=b\n",
    b"a\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"A / HTTP/1.0\r\n\r\n",
    b"POST /v1/heartbeat/u HTTP/1.1\r\n\r\n",
    b"POST /v1/heartbeat/u HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
    b"GET /v1/lookup HTTP/1.1\r\nHost: h\r\n\r\n",
    b"HTTP/1.1 100 C\r\n\r\n",
    b"HTTP/1.1 400 N\r\nContent-Length: 1\r\n\r\na",
    b"1\r\na\r\n",
];

/// The same with a number in it, which makes each another one: before it and behind it.
pub const NUMBERED: [(&str, &str); 14] = [
    ("\"", "\":0,"),
    ("\"", "\":\"\","),
    ("", "= "),
    ("", "=\n"),
    ("", ": a\n"),
    ("[", "]\n"),
    ("ipa-api-url=", " "),
    ("http://a", ","),
    ("a=", " "),
    ("\"a=", "\" "),
    ("\n  ", ""),
    ("a: ", "\r\n"),
    ("/", ""),
    ("--config-dir ", " "),
];

/// A body of this length, and what is repeated in it.
pub fn bodies(length: usize, before: &[u8], after: &[u8]) -> impl Iterator<Item = (String, Vec<u8>)> {
    let (before, after) = (before.to_vec(), after.to_vec());
    let room = length.saturating_sub(before.len() + after.len());
    let (start, end) = (before.clone(), after.clone());
    let around = move |middle: &mut dyn FnMut(&mut Vec<u8>, usize)| {
        let mut body = Vec::with_capacity(length);
        body.extend_from_slice(&start);
        middle(&mut body, start.len() + room);
        body.truncate(start.len() + room);
        body.extend_from_slice(&end);
        body
    };
    let around_too = around.clone();
    let plain = UNITS.iter().map(move |unit| {
        let body = around(&mut |body, most| {
            while body.len() < most {
                body.extend_from_slice(unit);
            }
            // No half of one at the end: what follows it is to be read.
            body.truncate(most - most.saturating_sub(before.len()) % unit.len());
        });
        (format!("{:?}", String::from_utf8_lossy(unit)), body)
    });
    let numbered = NUMBERED.iter().map(move |(left, right)| {
        let body = around_too(&mut |body, most| {
            for number in 0.. {
                let whole = body.len();
                let _ = write!(body, "{left}{number:x}{right}");
                if body.len() > most {
                    body.truncate(whole);
                    break;
                }
            }
        });
        (format!("{left:?} number {right:?}"), body)
    });
    plain.chain(numbered)
}
