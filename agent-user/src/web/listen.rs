//! Where serving the pages. Nothing of this may stop the daemon's duty: what fails is tried again.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use exporter::{BindError, ConfigFile, WebConfigError};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::Shown;

/// The port of `--web.listen-address` where none is given.
const DEFAULT_PORT: u16 = 10099;
/// The pause after a failure.
const RETRY: Duration = Duration::from_secs(5);
/// The pause after a connection could not be taken.
const PAUSE: Duration = Duration::from_millis(100);

/// Why the pages are not served.
#[derive(Debug, Error)]
pub enum WebError {
    /// The port is taken, or the address is none of this machine's.
    #[error("{0}; choose another with --web.listen-address")]
    Bind(#[from] BindError),
    /// The file is not usable.
    #[error(transparent)]
    Config(#[from] WebConfigError),
}

/// Binds the given address, or the default port on every address.
///
/// # Errors
/// Where it is in use, or no address of this machine.
pub fn bind(address: Option<SocketAddr>) -> Result<TcpListener, BindError> {
    exporter::bind(address, DEFAULT_PORT)
}

/// What is to be served where, until it is.
#[derive(Debug)]
pub struct Web {
    address: Option<SocketAddr>,
    config: Option<PathBuf>,
    bound: Option<TcpListener>,
}

impl Web {
    /// Takes the port while there are privileges; where that fails it is tried again without. `config` is the file that says
    /// who may look, and whether over TLS.
    pub fn begin(address: Option<SocketAddr>, config: Option<PathBuf>) -> Self {
        Self { address, config, bound: bind(address).ok() }
    }

    /// Serves until the daemon ends. Call it once the privileges are dropped: the file has to be readable without. What is
    /// wrong appears in `trouble`.
    pub async fn serve(mut self, shown: Shown, trouble: watch::Sender<Option<String>>) {
        loop {
            match self.open() {
                Ok((listener, protection)) => {
                    if let Ok(address) = listener.local_addr() {
                        tracing::info!(%address, "serving the pages");
                    }
                    trouble.send_replace(None);
                    return exporter::serve(listener, "ipa-sidecar", protection, shown).await;
                }
                Err(error) => {
                    let words = format!("the pages are not served: {error}");
                    let is_news = trouble.send_if_modified(|known| {
                        let is_news = known.as_ref() != Some(&words);
                        *known = Some(words.clone());
                        is_news
                    });
                    if is_news {
                        tracing::error!("{words}; retrying every {} s", RETRY.as_secs());
                    }
                }
            }
            // The time is up: it is tried again.
            let _ = timeout(RETRY, turn_away(self.bound.as_ref())).await;
        }
    }

    fn open(&mut self) -> Result<(TcpListener, Option<ConfigFile>), WebError> {
        let protection = self.config.clone().map(ConfigFile::open).transpose()?;
        let listener = match self.bound.take() {
            Some(listener) => listener,
            None => bind(self.address)?,
        };
        Ok((listener, protection))
    }
}

/// Closes each connection to a port that is kept for later: who asks is not left waiting for an answer.
async fn turn_away(listener: Option<&TcpListener>) {
    let Some(listener) = listener else { return std::future::pending().await };
    loop {
        if listener.accept().await.is_err() {
            sleep(PAUSE).await; // No descriptors left, for example.
        }
    }
}
