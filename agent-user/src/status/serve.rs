//! Answers who asks over the socket.

use std::io;
use std::time::Duration;

use exporter::take_connections;
use rustix::process::geteuid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::{Door, JSON, NOT_READY, READY, TEXT};
use crate::web::Shown;

/// Connections at one time; further ones wait in the kernel's queue.
const CONNECTIONS: usize = 8;
/// The longest life of a connection.
const LIFE: Duration = Duration::from_secs(5);
/// More than the longest question.
const QUESTION: usize = 16;

/// Answers until the daemon ends.
pub async fn serve(door: Door, shown: Shown) {
    let answer = |stream| {
        let shown = shown.clone();
        async move {
            match timeout(LIFE, answer(stream, &shown)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a question about the status got no answer"),
                Err(_) => tracing::debug!("a connection of the status socket has lived for its time"),
            }
        }
    };
    take_connections(&door.listener, CONNECTIONS, "the status socket", answer).await;
}

async fn answer(mut stream: UnixStream, shown: &Shown) -> io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    if !may_ask(uid, geteuid().as_raw()) {
        tracing::debug!(uid, "another user asks for the status");
        return Ok(());
    }
    let (ready, text) = match question(&mut stream).await?.as_str() {
        TEXT => shown.console(),
        JSON => {
            let (ready, json) = shown.json();
            (ready, json? + "\n")
        }
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    };
    let ready = if ready { READY } else { NOT_READY };
    stream.write_all(format!("{ready} {}\n{text}", text.len()).as_bytes()).await
}

/// SO_PEERCRED (unix(7)). Root, and the daemon's own user where the daemon runs as another one.
fn may_ask(uid: u32, own: u32) -> bool {
    uid == 0 || uid == own
}

/// The first line.
async fn question(stream: &mut UnixStream) -> io::Result<String> {
    let mut line = Vec::new();
    while line.len() < QUESTION {
        match stream.read_u8().await? {
            b'\n' => break,
            byte => line.push(byte),
        }
    }
    String::from_utf8(line).map_err(|_| io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_our_own_user_may_ask() {
        for (uid, own, expected) in [(0, 0, true), (0, 65534, true), (65534, 65534, true), (1000, 0, false)] {
            assert_eq!(may_ask(uid, own), expected, "{uid} {own}");
        }
    }
}
