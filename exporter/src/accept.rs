//! The accept loop of a listener, bounded in connections.

use std::future::Future;
use std::io;
use std::sync::Arc;
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

    /// The next one.
    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

/// Takes connections without end and serves each in a task of its own, at most `most` at one time; further ones wait in
/// the kernel's queue. `whose` names the listener in the log.
pub async fn take_connections<L: Listener, F>(
    listener: &L,
    most: usize,
    whose: &str,
    serve: impl Fn(L::Stream) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(most));
    let mut logged = false; // Once, and not ten times a second into a journal in memory.
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        match listener.next().await {
            Ok(stream) => {
                logged = false;
                let served = serve(stream);
                tokio::spawn(async move {
                    served.await;
                    drop(slot);
                });
            }
            Err(error) => {
                if !std::mem::replace(&mut logged, true) {
                    tracing::warn!(%error, "connections to {whose} cannot be taken; trying again");
                }
                sleep(PAUSE).await;
            }
        }
    }
}
