//! What systemd hears, and when.

use std::future::pending;
use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{interval, sleep, timeout};

use crate::ipa::keeper::{DropinPhase, DropinState};
use crate::notify;
use crate::params::Mode;
use crate::view::Sources;
use crate::watch::Published;

/// How often systemd hears that READY takes longer, and how long that holds.
const EXTEND: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(30));

/// What READY means.
pub struct Wanted {
    pub mode: Mode,
    /// It comes after so long at the latest.
    pub wait: Duration,
    /// IPA makes the network itself (`enable_vlan_interfaces`): where there is none yet, nothing would come before its start.
    pub makes_network: bool,
    /// The probes are loaded before.
    pub probes: bool,
}

/// READY when the mode's duty is done or there is nothing to wait for.
pub async fn tell(Wanted { mode, wait, makes_network, probes: wants_probes }: Wanted, sources: Sources) {
    let Sources { mut decisions, mut dropin, mut probes, .. } = sources;
    let loaded = timeout(wait, async move {
        if wants_probes {
            let _ = probes.wait_for(|probes| !probes.loading).await;
        }
    });
    let mut status = decisions.clone();
    if mode == Mode::Configure || mode == Mode::Guard {
        let mut current = decisions.clone();
        let mut done = pin!(async move {
            loop {
                let is_done = {
                    let published = current.borrow_and_update();
                    let waits_for_us =
                        makes_network && published.generation > 0 && has_no_address(&published);
                    if waits_for_us {
                        tracing::info!(
                            "IPA makes the network itself (enable_vlan_interfaces): it does not wait for an address"
                        );
                    }
                    waits_for_us || is_as_wanted(&published, &dropin.borrow_and_update())
                };
                if is_done {
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
                    tracing::error!(?wait, "no drop-in in time: IPA starts as if ipa-sidecar were not there");
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
    let _ = loaded.await; // Late: they hold up no IPA.
    notify::ready(&status.borrow_and_update().decision.to_string());
    while status.changed().await.is_ok() {
        notify::status(&status.borrow_and_update().decision.to_string());
    }
}

/// The drop-in is as the decision wants it: on disk with the address, or absent where Ironic answers from none of several.
fn is_as_wanted(published: &Published, dropin: &DropinState) -> bool {
    let as_wanted = match dropin.state {
        DropinPhase::Written => true,
        DropinPhase::Absent => published.decision.is_undecided(),
        DropinPhase::Off | DropinPhase::Failed => false,
    };
    as_wanted && dropin.generation == published.generation && !published.awaits_reach
}

/// Whether no device but loopback has an address that others could reach.
fn has_no_address(published: &Published) -> bool {
    let reachable = |ip: &IpAddr| callback_url::address_class(*ip).is_none();
    let local = &published.local;
    published.decision.address.is_none() && !local.assigned.iter().chain(&local.tentative).any(reachable)
}
