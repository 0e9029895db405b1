//! The accept loop of our listeners, bounded in connections.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;

/// The pause after a connection could not be taken: no descriptors left, for example.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes connections for ever and serves each in a task of its own, at most `most` at one time; further ones wait in
/// the kernel's queue. `whose` names the listener in the log.
pub async fn take<F>(listener: TcpListener, most: usize, whose: &str, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(most));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let served = serve(stream);
                tokio::spawn(async move {
                    served.await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection to {whose} could not be taken");
                sleep(PAUSE).await;
            }
        }
    }
}
