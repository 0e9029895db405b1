//! One line on standard output for whoever looks at the node's console: address, device, API, mode.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::params::Mode;
use crate::watch::Published;

/// A flapping network must not fill the console: one line in this time, and the last state is always written.
const PACE: Duration = Duration::from_secs(5);

/// Tells each decision that reads differently from the one before. The log, with everything else, is on standard error.
pub async fn tell(mode: Mode, mut decisions: watch::Receiver<Arc<Published>>) {
    let mut written = String::new();
    while decisions.changed().await.is_ok() {
        let line =
            format!("ipa-sidecar: mode {}: {}\n", mode.as_str(), decisions.borrow_and_update().decision);
        if line == written {
            continue;
        }
        written.clone_from(&line);
        // On a thread of its own: a serial line is slow, and may be stopped altogether.
        let written = tokio::task::spawn_blocking(move || std::io::stdout().write_all(line.as_bytes())).await;
        if let Ok(Err(error)) = written {
            tracing::debug!(%error, "nothing reads standard output");
            return;
        }
        sleep(PACE).await;
    }
}
