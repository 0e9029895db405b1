//! What systemd hears, and when.

use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{interval, sleep};

use crate::ipa::keeper::{DropinPhase, DropinState};
use crate::notify;
use crate::params::Mode;
use crate::view::Sources;
use crate::watch::Published;

/// How often systemd hears that READY takes longer, and how long that holds.
const EXTEND: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(30));

/// READY when the mode's duty is done or there is nothing to wait for, at the latest after `wait`.
pub async fn tell(mode: Mode, wait: Duration, sources: Sources) {
    let Sources { mut decisions, mut dropin, .. } = sources;
    let mut status = decisions.clone();
    if mode == Mode::Configure || mode == Mode::Guard {
        let mut current = decisions.clone();
        let mut done = pin!(async move {
            loop {
                if is_done(&current.borrow_and_update(), &dropin.borrow_and_update()) {
                    return;
                }
                tokio::select! {
                    Ok(()) = current.changed() => {}
                    Ok(()) = dropin.changed() => {}
                    else => pending().await, // The daemon ends.
                }
            }
        });
        let mut late = pin!(sleep(wait));
        let mut extend = interval(EXTEND.0);
        loop {
            tokio::select! {
                biased;
                () = &mut done => {
                    if status.borrow().decision.is_undecided() {
                        tracing::warn!("Ironic answers from none of several sources: IPA starts without a drop-in");
                    }
                    break;
                }
                () = &mut late => {
                    tracing::error!(?wait, "no drop-in in time: IPA starts as if we were not there");
                    break;
                }
                Ok(()) = decisions.changed() => {
                    notify::status(&decisions.borrow_and_update().decision.to_string());
                }
                _ = extend.tick() => notify::extend_timeout(EXTEND.1),
            }
        }
    } else {
        let _ = decisions.wait_for(|published| published.generation > 0 && !published.awaits_reach).await;
    }
    notify::ready(&status.borrow_and_update().decision.to_string());
    while status.changed().await.is_ok() {
        notify::status(&status.borrow_and_update().decision.to_string());
    }
}

/// The drop-in is as the decision wants it: on disk with the address, or absent where Ironic answers from none of several.
fn is_done(published: &Published, dropin: &DropinState) -> bool {
    let as_wanted = match dropin.state {
        DropinPhase::Written => true,
        DropinPhase::Absent => published.decision.is_undecided(),
        DropinPhase::Off | DropinPhase::Failed => false,
    };
    as_wanted && dropin.generation == published.generation && !published.awaits_reach
}
