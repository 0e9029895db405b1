//! The accept loop of a listener, bounded in connections.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;

/// The pause after a connection could not be taken: no descriptors left, for example.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes connections without end and serves each in a task of its own, at most `most` at one time; further ones wait in
/// the kernel's queue. `whose` names the listener in the log.
pub async fn take_connections<F>(
    listener: TcpListener,
    most: usize,
    whose: &str,
    serve: impl Fn(TcpStream) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(most));
    let mut logged = false; // Once, and not ten times a second into a journal in memory.
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
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
