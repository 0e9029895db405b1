//! `status`: what the running daemon says of itself, for the console.

use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use text::inert;
use thiserror::Error;

use crate::kept;
use crate::status::{FILE, JSON, READY, TEXT};

/// The pause of `--watch`.
const PAUSE: Duration = Duration::from_secs(1);
/// The daemon answers at once, unless it stands still.
const PATIENCE: Duration = Duration::from_secs(5);
/// Far more than any answer.
const LONGEST: u64 = 4 << 20;
/// To the first column of the first line, and clear all below (ECMA-48: CUP, ED).
const REDRAW: &str = "\x1b[H\x1b[J";
/// What to do where no daemon answers.
const START: &str = "`systemctl status ipa-sidecar` and its log (`journalctl -u ipa-sidecar`, without systemd \
                     /run/ipa-sidecar.log) show why; `systemctl restart ipa-sidecar` starts it";

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum StatusError {
    /// No socket.
    #[error("no daemon: there is no socket {0:?}; {START}. A daemon that cannot make its socket logs that")]
    Missing(PathBuf),
    /// A socket without a daemon.
    #[error("no daemon: nothing listens on {0:?}, which a killed daemon left behind; {START}")]
    Stale(PathBuf),
    /// Another user.
    #[error("the daemon behind {0:?} answers only root and its own user: run this as root")]
    Refused(PathBuf),
    /// It stands still.
    #[error(
        "the daemon behind {0:?} has not answered within {PATIENCE:?}: it stands still, or is busy; {START}"
    )]
    Silent(PathBuf),
    /// Anything else.
    #[error("the daemon behind {0:?} cannot be asked: {1}")]
    Socket(PathBuf, #[source] io::Error),
    /// Standard output.
    #[error(transparent)]
    Output(#[from] io::Error),
}

impl StatusError {
    fn of(path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing(path),
            io::ErrorKind::ConnectionRefused => Self::Stale(path),
            io::ErrorKind::PermissionDenied => Self::Refused(path),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Silent(path),
            _ => Self::Socket(path, error),
        }
    }
}

/// Asks and prints; with `watch` again every second, also while the daemon is away. Gives whether it is ready.
///
/// # Errors
/// Where no daemon answers at first, or standard output is gone.
pub fn run(json: bool, watch: bool, out: &mut impl Write) -> Result<bool, StatusError> {
    let path = kept::directory().join(FILE);
    let question = if json { JSON } else { TEXT };
    let mut answer = ask(&path, question)?;
    loop {
        let text = if json { answer.text } else { answer.text.chars().flat_map(shown).collect() };
        if !watch {
            out.write_all(text.as_bytes())?;
            out.flush()?;
            return Ok(answer.ready);
        }
        draw(&text, json, out)?;
        sleep(PAUSE);
        answer =
            ask(&path, question).unwrap_or_else(|error| Answer { ready: false, text: format!("{error}\n") });
    }
}

struct Answer {
    ready: bool,
    text: String,
}

fn ask(path: &Path, question: &str) -> Result<Answer, StatusError> {
    exchange(path, question).map_err(|error| StatusError::of(path, error))
}

fn exchange(path: &Path, question: &str) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{question}\n").as_bytes())?;
    let mut answer = BufReader::new(stream.take(LONGEST));
    let mut head = String::new();
    answer.read_line(&mut head)?;
    let parts = head.trim_end().split_once(' ');
    let (ready, length) = parts.ok_or_else(|| io::Error::other("it closed the connection"))?;
    let length: usize = length.parse().map_err(io::Error::other)?;
    let mut text = String::new();
    answer.read_to_string(&mut text)?;
    if text.len() != length {
        return Err(io::Error::other("its answer ended early"));
    }
    Ok(Answer { ready: ready == READY, text })
}

/// A character as a terminal may get it, whoever answered.
fn shown(character: char) -> impl Iterator<Item = char> {
    let newline = (character == '\n').then_some(character);
    newline.is_none().then(|| inert(character)).into_iter().flatten().chain(newline)
}

/// On a terminal over what was there, as many lines as it has.
fn draw(text: &str, json: bool, out: &mut impl Write) -> io::Result<()> {
    let stdout = io::stdout();
    if json || !stdout.is_terminal() {
        out.write_all(text.as_bytes())?;
        return out.flush();
    }
    let rows = rustix::termios::tcgetwinsize(&stdout).map_or(0, |size| usize::from(size.ws_row));
    let lines = if rows > 1 { rows - 1 } else { usize::MAX };
    let visible: String = text.split_inclusive('\n').take(lines).collect();
    write!(out, "{REDRAW}{visible}")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_answers_gives_no_command_to_a_terminal() {
        let text: String = "a\u{1b}[2J\u{202e}b\\\"\n".chars().flat_map(shown).collect();
        assert_eq!(text, "a\\u{1b}[2J\\u{202e}b\\\"\n");
    }

    #[test]
    fn each_failure_says_what_to_do() {
        let path = Path::new("/run/ipa-sidecar/status.sock");
        for (kind, wanted) in [
            (io::ErrorKind::NotFound, "no daemon: there is no socket \"/run/ipa-sidecar/status.sock\""),
            (io::ErrorKind::ConnectionRefused, "a killed daemon left behind"),
            (io::ErrorKind::PermissionDenied, "run this as root"),
            (io::ErrorKind::WouldBlock, "has not answered within 5s"),
            (io::ErrorKind::Other, "cannot be asked"),
        ] {
            let text = StatusError::of(path, kind.into()).to_string();
            assert!(text.contains(wanted) && text.contains("/run/ipa-sidecar/status.sock"), "{text}");
        }
    }
}
