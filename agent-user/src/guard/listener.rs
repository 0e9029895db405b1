//! The listener: it takes what is redirected, and stamps as long as that works.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use super::Guard;
use super::relay::{carry, reset};

/// How often it is shown that the listener works. The stamp lives four times as long.
const PACE: Duration = Duration::from_millis(500);
/// The longest time for a connect to the daemon's own listener.
const PATIENCE: Duration = Duration::from_millis(400);
/// With so many connections new ones go to Ironic directly; IPA keeps two.
pub const SLOTS: usize = 16;
/// Connects that were redirected just before: so many more are carried.
const OVERFLOW: usize = 48;
/// Connects that were redirected just before the end arrive within this time.
const LAST_ARRIVALS: Duration = Duration::from_millis(100);
/// The pause after a failed accept.
const RETRY: Duration = Duration::from_millis(100);

impl Guard {
    /// Serves until it is stopped and what was in flight has ended.
    pub async fn serve(self: Arc<Self>, listener: std::net::TcpListener) {
        let taken = listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener));
        match taken.and_then(|listener| Ok((listener.local_addr()?, listener))) {
            Ok((address, listener)) => self.serve_at(address, &listener).await,
            Err(error) => self.pause(format!("the guard's listener cannot be used: {error}")),
        }
        self.redirect.detach();
        self.stopped.send_replace(true);
    }

    async fn serve_at(self: &Arc<Self>, address: SocketAddr, listener: &TcpListener) {
        let mut connections = JoinSet::new();
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The guard's own connect to itself, until it is taken.
        let mut test: Option<(TcpStream, SocketAddr)> = None;
        loop {
            tokio::select! {
                () = self.stop_begins() => break,
                _ = pace.tick() => test = self.reach(address).await,
                Some(ended) = connections.join_next() => self.ended(ended),
                taken = listener.accept() => match taken {
                    Ok((stream, peer)) => match test.take_if(|(_, own)| *own == peer) {
                        Some((own, _)) => {
                            reset(stream);
                            reset(own);
                            if connections.len() < SLOTS {
                                self.stamp();
                            }
                        }
                        None => self.take(stream, peer, &mut connections),
                    },
                    Err(error) => {
                        self.pause(format!("a connection cannot be taken: {error}"));
                        sleep(RETRY).await;
                    }
                },
            }
        }
        self.redirect.detach();
        self.drain(listener, &mut connections).await;
    }

    /// Waits for the end of the daemon.
    pub(super) async fn stop_begins(&self) {
        // Nobody can end it where nobody has it.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }

    /// Each connection ends in its own time: this only waits.
    async fn drain(self: &Arc<Self>, listener: &TcpListener, connections: &mut JoinSet<()>) {
        let arrivals = Instant::now() + LAST_ARRIVALS;
        while !connections.is_empty() || Instant::now() < arrivals {
            tokio::select! {
                Ok((stream, peer)) = listener.accept() => self.take(stream, peer, connections),
                Some(_ended) = connections.join_next() => {}
                () = sleep_until(arrivals), if Instant::now() < arrivals => {}
            }
        }
    }

    /// Connects to the daemon's own listener, as proof that it can be reached.
    async fn reach(&self, listener: SocketAddr) -> Option<(TcpStream, SocketAddr)> {
        let connected = timeout(PATIENCE, TcpStream::connect(listener)).await;
        let stream = match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => stream,
            Err(error) => {
                self.clear_stamp();
                tracing::debug!(%error, "the guard's own listener cannot be reached");
                return None;
            }
        };
        let own = stream.local_addr().ok()?;
        Some((stream, own))
    }

    fn take(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, connections: &mut JoinSet<()>) {
        if connections.len() >= SLOTS + OVERFLOW {
            tracing::warn!("the guard has too many connections: closed one");
            return reset(stream);
        }
        self.state.send_modify(|state| state.connections += 1);
        connections.spawn(carry(Arc::clone(self), stream, peer));
        if connections.len() >= SLOTS {
            self.clear_stamp();
            tracing::debug!("all slots are taken: new connects go to Ironic directly");
        }
    }

    fn ended(&self, ended: Result<(), tokio::task::JoinError>) {
        if let Err(error) = ended {
            self.pause(format!("carrying a connection ended early, which is a defect: {error}"));
        }
    }
}
