//! Who looks at the daemon: what matters only to a page, a scrape or a report is asked for then, and seldom otherwise.

use tokio::sync::watch;

/// Where each look is noted.
#[derive(Debug, Clone, Default)]
pub struct Looks(watch::Sender<()>);

/// Hears of looks.
#[derive(Debug, Clone)]
pub struct Onlookers(watch::Receiver<()>);

impl Looks {
    /// Something looks now.
    pub fn note(&self) {
        self.0.send_replace(());
    }

    /// Hears of every look from now on.
    pub fn subscribe(&self) -> Onlookers {
        Onlookers(self.0.subscribe())
    }
}

impl Onlookers {
    /// Waits until something has looked since this was waited for last. Nothing is lost where this is dropped.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending().await
        }
    }
}
