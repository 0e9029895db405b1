//! Whether IPA reads the drop-in: what its unit gave at the start is judged anew by the process.

use tokio::sync::watch;

use crate::image::Image;
pub use crate::image::place::{Place, Reads};
pub use crate::image::started::{Override, Started};
use crate::kept::IpaId;
use crate::kernel_thread;

use super::process;
use super::status::IpaState;

/// How the IPA with this id was started.
pub type Running = Option<(IpaId, Started)>;

/// Judges each IPA that is seen to run.
pub async fn follow(
    image: Image,
    place: watch::Sender<Place>,
    running: watch::Sender<Running>,
    mut ipa: watch::Receiver<IpaState>,
) {
    loop {
        let process = ipa.borrow_and_update().process;
        let known = running.borrow().as_ref().map(|(id, _)| *id);
        if process.is_none() && known.is_some() {
            running.send_replace(None);
        }
        if let Some(id) = process.filter(|_| process != known)
            && let Some(Some(found)) = kernel_thread::ask(move || process::seen(id)).await
        {
            let started = image.started(&place.borrow(), &found);
            if *place.borrow() != started.place {
                tell(&started.place);
                place.send_replace(started.place.clone());
            }
            running.send_replace(Some((id, started)));
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
