//! One connection on its way to the address that was dialled. Bytes go on as they come, in both directions, without a
//! time-out of its own; only a heartbeat waits until it is whole.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fib::socket_cookie;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::{Instant, sleep};

use crate::http1::{Answer, Answers, Asked, Kind, PENDING, Splitter, Step};
use crate::kernel_thread;

use super::Guard;
use super::heartbeat::Sent;

/// How long after the end began a connection may go on that has no lookup under way: half of the 2 s in which the daemon
/// ends, as the kernel may take as long to take back the probes.
const LAST_MOMENT: Duration = Duration::from_secs(1);
/// How often it is then looked whether it is idle.
const LOOK: Duration = Duration::from_millis(20);
/// Bytes that are carried at once.
const PIECE: usize = 16 * 1024;

/// Carries it until both directions have ended.
pub async fn carry(guard: Arc<Guard>, client: TcpStream, peer: SocketAddr) {
    let Some(dialled) = guard.dialled(&client, peer).await else {
        return reset(client);
    };
    let connected = tokio::select! {
        connected = TcpStream::connect(dialled) => connected,
        () = gone(&client) => return,
    };
    let upstream = match connected {
        Ok(upstream) => upstream,
        Err(error) => {
            if !is_the_networks(&error) {
                guard.pause(format!("no connection to {dialled}: {error}"));
            }
            tracing::debug!(%dialled, %error, "no connection");
            return reset(client);
        }
    };
    for stream in [&client, &upstream] {
        let _ = stream.set_nodelay(true); // Only slower where it fails.
    }
    Carried { guard, flow: Mutex::default() }.run(client, upstream).await;
}

impl Guard {
    /// What the client dialled.
    async fn dialled(&self, client: &TcpStream, peer: SocketAddr) -> Option<SocketAddr> {
        let here = client.local_addr().ok()?;
        let cookie = match kernel_thread::ask(move || socket_cookie(peer, here)).await {
            Some(Ok(cookie)) => cookie,
            other => {
                tracing::debug!(?other, "whose connection it is could not be asked");
                None
            }
        };
        if let Some(dialled) = cookie.and_then(|cookie| self.redirect.original(cookie)) {
            return Some(dialled);
        }
        let endpoints = self.memory().endpoints.clone();
        match endpoints.as_slice() {
            [only] => Some(*only),
            _ => {
                self.pause("a connection came of which it is not known where it was to go".to_owned());
                None
            }
        }
    }
}

/// Whether a connect without the daemon had failed so, too.
fn is_the_networks(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionRefused, ConnectionReset, HostUnreachable, NetworkDown, NetworkUnreachable, TimedOut,
    };
    matches!(
        error.kind(),
        ConnectionRefused | ConnectionReset | HostUnreachable | NetworkDown | NetworkUnreachable | TimedOut
    )
}

/// Waits until the client has closed without having sent anything.
async fn gone(client: &TcpStream) {
    match client.peek(&mut [0]).await {
        Ok(0) | Err(_) => {}
        Ok(_) => std::future::pending().await,
    }
}

/// Closes it with RST: as where nothing answered.
pub fn reset(stream: TcpStream) {
    let _ = stream.set_zero_linger();
    drop(stream);
}

/// What the two directions of a connection know of each other.
#[derive(Debug, Default)]
struct Flow {
    answers: Answers,
    /// What was sent with each request that has no answer, the oldest first.
    sent: VecDeque<Sent>,
    /// Requests so far.
    requests: u64,
    /// The client is inside a request.
    inside: bool,
}

struct Carried {
    guard: Arc<Guard>,
    flow: Mutex<Flow>,
}

impl Carried {
    async fn run(self, mut client: TcpStream, mut upstream: TcpStream) {
        let outcome = {
            let (from_client, to_client) = client.split();
            let (from_upstream, to_upstream) = upstream.split();
            let both = async {
                tokio::try_join!(self.up(from_client, to_upstream), self.down(from_upstream, to_client))
            };
            tokio::select! {
                outcome = both => outcome.map(drop),
                () = self.time_is_up() => Ok(()),
            }
        };
        let (last, sent) = {
            let flow = &mut *self.flow();
            let (last, _unanswered) = flow.answers.finish();
            let last = last.map(|answer| (answer, flow.sent.pop_front().unwrap_or_default()));
            (last, std::mem::take(&mut flow.sent))
        };
        if let Some((answer, sent)) = last {
            self.guard.answered(&answer, &sent);
        }
        sent.iter().for_each(|sent| self.guard.unanswered(sent));
        if let Err(error) = outcome {
            tracing::debug!(%error, "a connection broke");
            reset(client);
            reset(upstream);
        }
    }

    /// From the client to Ironic.
    async fn up(&self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> io::Result<()> {
        let (mut splitter, mut out, mut buffer) = (Splitter::default(), Vec::new(), vec![0; PIECE]);
        loop {
            let length = from.read(&mut buffer).await?;
            let mut input = buffer.get(..length).unwrap_or_default();
            out.clear();
            while let step @ (Step::Asked(_) | Step::Heartbeat(_)) = splitter.feed(&mut input, &mut out) {
                match step {
                    Step::Asked(asked) => {
                        if !self.asked(Sent::of(&asked.kind), asked) {
                            splitter.give_up();
                        }
                    }
                    Step::Heartbeat(heartbeat) => {
                        // What came before it does not wait for the judgement.
                        if to.write_all(&out).await.is_err() {
                            return Ok(());
                        }
                        out.clear();
                        let (body, sent) = self.guard.judge(&heartbeat).await;
                        heartbeat.put(body.as_deref(), &mut out);
                        if !self.asked(sent, heartbeat.asked()) {
                            splitter.give_up();
                        }
                    }
                    Step::More => {}
                }
            }
            if length == 0 {
                splitter.finish(&mut out);
            }
            self.flow().inside = !splitter.is_between();
            // Ironic may have answered before it closed: what comes from there decides.
            if to.write_all(&out).await.is_err() {
                return Ok(());
            }
            if length == 0 {
                let _ = to.shutdown().await;
                return Ok(());
            }
        }
    }

    /// From Ironic to the client.
    async fn down(&self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> io::Result<()> {
        let mut buffer = vec![0; PIECE];
        loop {
            let length = from.read(&mut buffer).await?;
            let piece = buffer.get(..length).unwrap_or_default();
            if piece.is_empty() {
                return to.shutdown().await;
            }
            for (answer, sent) in self.take(piece) {
                self.guard.answered(&answer, &sent);
            }
            to.write_all(piece).await?;
        }
    }

    fn flow(&self) -> MutexGuard<'_, Flow> {
        self.flow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a request until it is answered. False where too many are not: then the connection is not followed further.
    fn asked(&self, sent: Sent, asked: Asked) -> bool {
        let flow = &mut *self.flow();
        flow.requests += 1;
        if flow.sent.len() < PENDING {
            flow.answers.expect(asked);
            flow.sent.push_back(sent);
        } else if !flow.answers.is_lost() {
            tracing::debug!(
                "a client has asked {PENDING} times without an answer: its connection passes unread"
            );
            flow.answers.give_up();
            flow.sent.clear();
            return false;
        }
        true
    }

    fn take(&self, piece: &[u8]) -> Vec<(Answer, Sent)> {
        let mut flow = self.flow();
        let answers = flow.answers.take(piece);
        answers.into_iter().map(|answer| (answer, flow.sent.pop_front().unwrap_or_default())).collect()
    }

    /// Waits for the end of the daemon, and then as long as this connection may go on.
    async fn time_is_up(&self) {
        self.guard.stop_begins().await;
        let began = Instant::now();
        while began.elapsed() < self.left() {
            sleep(LOOK).await;
        }
    }

    /// How long it may go on after the end began.
    fn left(&self) -> Duration {
        let flow = self.flow();
        if flow.answers.open().any(|asked| asked.kind == Kind::Lookup) {
            return self.guard.patience.max(LAST_MOMENT);
        }
        let is_idle = flow.requests > 0 && !flow.inside && flow.answers.is_idle();
        if is_idle { Duration::ZERO } else { LAST_MOMENT }
    }
}
