//! Records of a log: lines with what continues them, and JSON as journald and log collectors write it.

use std::io::{self, BufRead, Read};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::moment::Moment;

/// The longest line that is read as it is; the rest of a longer one is passed over.
const LINE: u64 = 256 << 10;
/// The longest record; what continues it further is passed over.
const RECORD: usize = 512 << 10;
/// `2022-10-13 22:57:56` or with a `T`: a 0 stands for a digit.
const ISO: &[u8] = b"0000-00-00 00:00:00";
/// `Oct 13 22:57:56`, as syslog writes it: an `a` stands for a letter, a blank for a blank or a digit.
const SYSLOG: &[u8] = b"aaa  0 00:00:00";

/// One record.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Record {
    /// When, as it stands in the log; empty where it has no time.
    pub time: String,
    /// The text, its time included.
    pub text: String,
}

/// The records of a log.
pub struct Records<R> {
    input: R,
    /// The first line of the next record, which ended the one before.
    waiting: Option<String>,
    ended: bool,
}

impl<R: BufRead> Records<R> {
    /// Nothing is read yet.
    pub fn new(input: R) -> Self {
        Self { input, waiting: None, ended: false }
    }

    /// The next one; `None` at the end.
    ///
    /// # Errors
    /// Of the reader.
    pub fn next(&mut self) -> io::Result<Option<Record>> {
        let first = match self.waiting.take() {
            Some(line) => line,
            None => match self.line()? {
                Some(line) => line,
                None => return Ok(None),
            },
        };
        if let Some(record) = json(&first) {
            return Ok(Some(record));
        }
        let Some(length) = time_length(&first) else {
            return Ok(Some(Record { time: String::new(), text: first }));
        };
        let time = first.get(..length).unwrap_or_default().to_owned();
        let mut text = first;
        while let Some(line) = self.line()? {
            if ends_record(&line) {
                self.waiting = Some(line);
                break;
            }
            // A record that was wrapped at the width of a screen broke inside a word: nothing belongs between.
            if text.len() < RECORD {
                text.push_str(&line);
            }
        }
        Ok(Some(Record { time, text }))
    }

    /// The next line without its end; what is no UTF-8 is replaced.
    fn line(&mut self) -> io::Result<Option<String>> {
        if self.ended {
            return Ok(None);
        }
        let mut line = Vec::new();
        if Read::take(&mut self.input, LINE).read_until(b'\n', &mut line)? == 0 {
            self.ended = true;
            return Ok(None);
        }
        match line.strip_suffix(b"\n") {
            Some(whole) => {
                let length = whole.strip_suffix(b"\r").unwrap_or(whole).len();
                line.truncate(length);
            }
            None => {
                self.input.skip_until(b'\n')?;
            }
        }
        let lossy =
            |error: std::string::FromUtf8Error| String::from_utf8_lossy(error.as_bytes()).into_owned();
        Ok(Some(String::from_utf8(line).unwrap_or_else(lossy)))
    }
}

/// A new record, a blank line, or the end of a quotation.
fn ends_record(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with("```") || line.starts_with('{') || time_length(line).is_some()
}

/// The length of the time that a line begins with.
fn time_length(line: &str) -> Option<usize> {
    let bytes = line.as_bytes();
    let fits = |pattern: &[u8]| {
        bytes.len() >= pattern.len()
            && pattern.iter().zip(bytes).all(|(wanted, byte)| match wanted {
                b'0' => byte.is_ascii_digit(),
                b'a' => byte.is_ascii_alphabetic(),
                b' ' => *byte == b' ' || *byte == b'T' || byte.is_ascii_digit(),
                other => byte == other,
            })
    };
    if fits(ISO) {
        // With fractions and zone.
        let rest = bytes.get(ISO.len()..)?;
        let more = rest.iter().take_while(|byte| byte.is_ascii_digit() || b".,+:Z".contains(byte)).count();
        return Some(ISO.len() + more);
    }
    fits(SYSLOG).then_some(SYSLOG.len())
}

/// journald's fields (systemd.journal-fields(7)), and the name that other collectors have for the text.
#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, rename = "MESSAGE", alias = "message", alias = "log")]
    message: Option<&'a RawValue>,
    #[serde(borrow, rename = "__REALTIME_TIMESTAMP")]
    time: Option<&'a RawValue>,
}

/// A record in JSON. One that was cut in the middle is none, and is read as text.
fn json(line: &str) -> Option<Record> {
    if !line.starts_with('{') {
        return None;
    }
    let entry: Entry = serde_json::from_str(line).ok()?;
    let message = entry.message?;
    // journald writes what is no plain text as a list of bytes.
    let text = api_client::json::read::<String>(message).or_else(|| {
        let bytes: Vec<u8> = api_client::json::read(message)?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    })?;
    let own = time_length(&text).and_then(|length| text.get(..length)).map(str::to_owned);
    let time = own.or_else(|| {
        let microseconds: u64 = api_client::json::read::<String>(entry.time?)?.parse().ok()?;
        Some(Moment::from_seconds(microseconds / 1_000_000).to_string())
    });
    Some(Record { time: time.unwrap_or_default(), text })
}
