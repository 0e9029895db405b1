//! Whether IPA reads our drop-in: what its unit told at the start is judged anew by the arguments of the process.

use tokio::sync::watch;

use crate::image::Image;
pub use crate::image::place::{Place, Reads};
use crate::kernel_thread;

use super::process;
use super::status::IpaState;

/// Judges each IPA that is seen to run.
pub async fn follow(image: Image, place: watch::Sender<Place>, mut ipa: watch::Receiver<IpaState>) {
    let mut known = None;
    loop {
        let process = ipa.borrow_and_update().process;
        if let Some(id) = process.filter(|_| process != known)
            && let Some(Some(found)) = kernel_thread::ask(move || process::seen(id)).await
        {
            known = process;
            let seen = image.seen(&place.borrow(), &found);
            let changed = place.send_if_modified(|before| {
                let changed = *before != seen;
                *before = seen.clone();
                changed
            });
            if changed {
                tell(&seen);
            }
        }
        if ipa.changed().await.is_err() {
            return;
        }
    }
}

/// Into the log.
pub fn tell(place: &Place) {
    match place.reads_it {
        Reads::No => tracing::warn!("{}", place.shown()),
        Reads::Yes | Reads::Unknown => tracing::info!("{}", place.shown()),
    }
}
