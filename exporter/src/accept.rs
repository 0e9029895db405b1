//! The accept loop of a listener, bounded in connections.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;

/// The pause after a connection could not be taken: no descriptors left, for example.
const PAUSE: Duration = Duration::from_millis(100);

/// What connections come from.
pub trait Listener {
    /// A connection.
    type Stream;

    /// The next one, and the address of its host where it has one.
    fn next(&self) -> impl Future<Output = io::Result<(Self::Stream, Option<IpAddr>)>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<(TcpStream, Option<IpAddr>)> {
        self.accept().await.map(|(stream, peer)| (stream, Some(peer.ip().to_canonical())))
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<(UnixStream, Option<IpAddr>)> {
        self.accept().await.map(|(stream, _)| (stream, None))
    }
}

/// How many connections each host has.
#[derive(Debug, Default, Clone)]
struct Hosts(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection of a host; it counts until it is dropped.
struct Counted(Hosts, Option<IpAddr>);

impl Hosts {
    /// One more of this host; `None` where it has so many already.
    fn count(&self, host: Option<IpAddr>, most: usize) -> Option<Counted> {
        if let Some(host) = host {
            let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let count = hosts.entry(host).or_default();
            if *count >= most {
                return None;
            }
            *count += 1;
        }
        Some(Counted(self.clone(), host))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Some(host) = self.1 else { return };
        let mut hosts = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = hosts.entry(host) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// Takes connections without end and serves each in a task of its own, at most `most` at one time; further ones wait in
/// the kernel's queue. One host has at most half of them: what it opens beyond is closed. `whose` names the listener in the
/// log.
pub async fn take_connections<L: Listener, F>(
    listener: &L,
    most: usize,
    whose: &str,
    serve: impl Fn(L::Stream) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(most));
    let hosts = Hosts::default();
    let mut logged = false; // Once, and not ten times a second into a journal in memory.
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        match listener.next().await {
            Ok((stream, host)) => {
                logged = false;
                let Some(counted) = hosts.count(host, most / 2) else {
                    tracing::debug!(?host, "a host has too many connections to {whose}: one is closed");
                    continue;
                };
                let served = serve(stream);
                tokio::spawn(async move {
                    served.await;
                    drop((slot, counted));
                });
            }
            Err(error) => {
                if !std::mem::replace(&mut logged, true) {
                    tracing::warn!(%error, "could not accept a connection to {whose}; retrying");
                }
                sleep(PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_so_many_and_others_have_theirs() {
        let hosts = Hosts::default();
        let one = Some(IpAddr::from([192, 0, 2, 1]));
        let mut held: Vec<_> = (0..4).filter_map(|_| hosts.count(one, 2)).collect();
        assert_eq!(held.len(), 2);
        assert!(hosts.count(Some([192, 0, 2, 2].into()), 2).is_some() && hosts.count(None, 0).is_some());
        held.pop();
        assert!(hosts.count(one, 2).is_some());
        drop(held);
        assert!(hosts.0.lock().unwrap().is_empty());
    }
}
