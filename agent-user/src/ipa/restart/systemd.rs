//! As much of D-Bus as it takes to have systemd restart a unit (D-Bus Specification 0.43, org.freedesktop.systemd1(5)).
//!
//! The manager's own socket is there without a bus daemon, which a ramdisk may not have. It takes root by its user id.

use std::io;
use std::path::Path;
use std::time::Duration;

use text::foreign_text;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// Where the manager listens (systemd, src/core/dbus.c, `bus_init_private`).
pub const SOCKET: &str = "/run/systemd/private";
/// An answer to a call comes at once: a job that it starts is not waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Far more than any answer here has.
const MESSAGE_MAX: usize = 64 * 1024;

/// Message types, and header fields with the type of their value ("Message Format").
const METHOD_CALL: u8 = 1;
const METHOD_RETURN: u8 = 2;
const ERROR: u8 = 3;
const FIELD_PATH: (u8, u8) = (1, b'o');
const FIELD_INTERFACE: (u8, u8) = (2, b's');
const FIELD_MEMBER: (u8, u8) = (3, b's');
const FIELD_ERROR_NAME: u8 = 4;
const FIELD_REPLY_SERIAL: u8 = 5;
const FIELD_DESTINATION: (u8, u8) = (6, b's');
const FIELD_SIGNATURE: u8 = 8;

/// Why systemd did not do it.
#[derive(Debug, Error)]
pub enum SystemdError {
    /// Its socket.
    #[error("systemd cannot be asked: {0}")]
    Socket(#[from] io::Error),
    /// Its refusal, by the name of the error.
    #[error("systemd refuses: {0}")]
    Refused(String),
    /// What came is not D-Bus.
    #[error("systemd's answer cannot be read")]
    Answer,
    #[error("systemd does not answer within {} s", PATIENCE.as_secs())]
    Late,
}

/// A connection to systemd's manager.
#[derive(Debug)]
pub struct Manager {
    stream: UnixStream,
    serial: u32,
}

impl Manager {
    /// Connects, as the daemon's user.
    ///
    /// # Errors
    /// Where there is no systemd, or it refuses.
    pub async fn connect(socket: &Path) -> Result<Self, SystemdError> {
        timeout(PATIENCE, Self::authenticated(socket)).await.unwrap_or(Err(SystemdError::Late))
    }

    async fn authenticated(socket: &Path) -> Result<Self, SystemdError> {
        let mut stream = UnixStream::connect(socket).await?;
        let user = rustix::process::geteuid().as_raw().to_string();
        let user: String = user.bytes().map(|byte| format!("{byte:02x}")).collect();
        // All at once: systemd waits for more where a call comes together with BEGIN.
        stream.write_all(format!("\0AUTH EXTERNAL {user}\r\nBEGIN\r\n").as_bytes()).await?;
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            if line.len() > 256 {
                return Err(SystemdError::Answer);
            }
            line.push(stream.read_u8().await?);
        }
        if !line.starts_with(b"OK ") {
            return Err(SystemdError::Refused(foreign_text(String::from_utf8_lossy(&line).trim(), None)));
        }
        Ok(Self { stream, serial: 0 })
    }

    /// Whether systemd has loaded this unit.
    ///
    /// # Errors
    /// Where it has not, or does not answer.
    pub async fn has(&mut self, unit: &str) -> Result<(), SystemdError> {
        self.call("GetUnit", &[unit]).await
    }

    /// Restarts a unit; the job is not waited for.
    ///
    /// # Errors
    /// Where systemd starts no job, or does not answer.
    pub async fn restart(&mut self, unit: &str) -> Result<(), SystemdError> {
        self.call("RestartUnit", &[unit, "replace"]).await
    }

    pub(super) async fn call(&mut self, member: &str, words: &[&str]) -> Result<(), SystemdError> {
        timeout(PATIENCE, self.exchange(member, words)).await.unwrap_or(Err(SystemdError::Late))
    }

    async fn exchange(&mut self, member: &str, words: &[&str]) -> Result<(), SystemdError> {
        self.serial += 1;
        self.stream.write_all(&call(self.serial, member, words)).await?;
        loop {
            let mut message = vec![0; 16];
            self.stream.read_exact(&mut message).await?;
            let size = size(&message).filter(|size| *size <= MESSAGE_MAX).ok_or(SystemdError::Answer)?;
            message.resize(size, 0);
            self.stream.read_exact(message.get_mut(16..).ok_or(SystemdError::Answer)?).await?;
            // Signals come in between.
            match answer(&message, self.serial).ok_or(SystemdError::Answer)? {
                Answer::Done => return Ok(()),
                Answer::Error(name) => return Err(SystemdError::Refused(foreign_text(&name, None))),
                Answer::Other => {}
            }
        }
    }
}

/// A call of the manager's, with words as its only arguments.
fn call(serial: u32, member: &str, words: &[&str]) -> Vec<u8> {
    let mut body = Vec::new();
    words.iter().for_each(|word| put_text(&mut body, word));
    let mut fields = Vec::new();
    for ((code, kind), value) in [
        (FIELD_PATH, "/org/freedesktop/systemd1"),
        (FIELD_INTERFACE, "org.freedesktop.systemd1.Manager"),
        (FIELD_MEMBER, member),
        (FIELD_DESTINATION, "org.freedesktop.systemd1"),
    ] {
        pad(&mut fields, 8);
        fields.extend([code, 1, kind, 0]);
        put_text(&mut fields, value);
    }
    pad(&mut fields, 8);
    let count = u8::try_from(words.len()).unwrap_or(u8::MAX);
    fields.extend([FIELD_SIGNATURE, 1, b'g', 0, count]);
    fields.extend(words.iter().map(|_| b's').chain([0]));
    // Little endian, no flags, version 1 of the protocol.
    let mut message = vec![b'l', METHOD_CALL, 0, 1];
    for number in [length(&body), serial, length(&fields)] {
        message.extend(number.to_le_bytes());
    }
    message.extend(fields);
    pad(&mut message, 8);
    message.extend(body);
    message
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    pad(bytes, 4);
    bytes.extend(length(text.as_bytes()).to_le_bytes());
    bytes.extend(text.bytes().chain([0]));
}

fn pad(bytes: &mut Vec<u8>, to: usize) {
    bytes.resize(bytes.len().next_multiple_of(to), 0);
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// What a message says about the daemon's call.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Done,
    /// Its name.
    Error(String),
    /// It is about something else.
    Other,
}

/// The size of a message whose first 16 bytes are here; its header is padded to 8 bytes.
fn size(start: &[u8]) -> Option<usize> {
    let number = |at: usize| usize::try_from(number(start, at)?).ok();
    (16 + number(12)?).checked_next_multiple_of(8)?.checked_add(number(4)?)
}

/// A number at this place, in the byte order that the message names.
fn number(message: &[u8], at: usize) -> Option<u32> {
    let bytes = message.get(at..at.checked_add(4)?)?.try_into().ok()?;
    match message.first()? {
        b'l' => Some(u32::from_le_bytes(bytes)),
        b'B' => Some(u32::from_be_bytes(bytes)),
        _ => None,
    }
}

fn answer(message: &[u8], serial: u32) -> Option<Answer> {
    let kind = *message.get(1)?;
    let end = 16_usize.checked_add(usize::try_from(number(message, 12)?).ok()?)?;
    let (mut at, mut replies_to, mut error) = (16, None, String::new());
    while at < end {
        at = at.next_multiple_of(8);
        let code = *message.get(at)?;
        // Every standard field has a value of one type, whose signature takes four bytes with its length and end.
        let (signature, value) = (*message.get(at + 2)?, at + 4);
        at = match signature {
            b's' | b'o' => {
                let from = value + 4;
                let to = from.checked_add(usize::try_from(number(message, value)?).ok()?)?;
                if code == FIELD_ERROR_NAME {
                    error = String::from_utf8_lossy(message.get(from..to)?).into_owned();
                }
                to + 1
            }
            b'g' => value + usize::from(*message.get(value)?) + 2,
            b'u' => {
                replies_to =
                    Some(number(message, value)?).filter(|_| code == FIELD_REPLY_SERIAL).or(replies_to);
                value + 4
            }
            _ => return None,
        };
    }
    Some(match kind {
        METHOD_RETURN if replies_to == Some(serial) => Answer::Done,
        ERROR if replies_to == Some(serial) => Answer::Error(error),
        _ => Answer::Other,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An error of this name that answers a call.
    fn error(name: &str, serial: u32) -> Vec<u8> {
        let mut fields = vec![FIELD_REPLY_SERIAL, 1, b'u', 0];
        fields.extend(serial.to_le_bytes());
        fields.extend([FIELD_ERROR_NAME, 1, b's', 0]);
        put_text(&mut fields, name);
        let mut message = vec![b'l', ERROR, 0, 1, 0, 0, 0, 0, 9, 0, 0, 0];
        message.extend(length(&fields).to_le_bytes());
        message.extend(fields);
        pad(&mut message, 8);
        message
    }

    #[test]
    fn a_call_is_laid_out_as_the_specification_says() {
        let message = call(7, "RestartUnit", &["a.service", "replace"]);
        assert_eq!(message[..12], [b'l', 1, 0, 1, 28, 0, 0, 0, 7, 0, 0, 0]);
        assert_eq!(size(&message), Some(message.len()));
        assert_eq!(message[16..20], [1, 1, b'o', 0]);
        assert!(message.ends_with(b"\x09\0\0\0a.service\0\0\0\x07\0\0\0replace\0"));
        assert_eq!(answer(&message, 7), Some(Answer::Other), "it is no answer");
    }

    #[test]
    fn only_the_answer_to_our_call_counts() {
        let message = error("org.freedesktop.systemd1.NoSuchUnit", 7);
        assert_eq!(size(&message), Some(message.len()));
        assert_eq!(
            answer(&message, 7),
            Some(Answer::Error("org.freedesktop.systemd1.NoSuchUnit".to_owned()))
        );
        assert_eq!(answer(&message, 8), Some(Answer::Other));
        let mut done = message;
        done[1] = METHOD_RETURN;
        assert_eq!(answer(&done, 7), Some(Answer::Done));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0_usize..100) {
            let _ = (size(&bytes), answer(&bytes, 1));
            let mut message = error("a.b", 7);
            message.truncate(cut);
            let _ = answer(&message, 7);
        }
    }
}
