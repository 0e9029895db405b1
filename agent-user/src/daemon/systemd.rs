//! What systemd hears, and when.

use std::future::pending;
use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{interval, sleep};

use crate::ipa::keeper::DropinPhase;
use crate::notify;
use crate::params::Mode;
use crate::view::Sources;
use crate::watch::Published;

/// How often systemd hears that READY takes longer, and how long that holds.
const EXTEND: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(30));

/// READY when the mode's duty is done or there is nothing to wait for, at the latest after `wait`. Where IPA makes the
/// network itself (`enable_vlan_interfaces`) and there is none yet, nothing would come before its start.
pub async fn tell(mode: Mode, wait: Duration, makes_network: bool, sources: Sources) {
    let Sources { mut decisions, mut dropin, .. } = sources;
    let mut status = decisions.clone();
    if mode == Mode::Configure || mode == Mode::Guard {
        let mut current = decisions.clone();
        let mut written = pin!(async move {
            loop {
                let is_written = {
                    let (published, dropin) = (current.borrow_and_update(), dropin.borrow_and_update());
                    let waits_for_us =
                        makes_network && published.generation > 0 && has_no_address(&published);
                    let is_done = dropin.state == DropinPhase::Written
                        && dropin.address == published.decision.address
                        && !published.awaits_reach;
                    if waits_for_us {
                        tracing::info!(
                            "IPA makes the network itself (enable_vlan_interfaces): it does not wait for us"
                        );
                    }
                    is_done || waits_for_us
                };
                if is_written {
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
                () = &mut written => break,
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

/// Whether no device but loopback has an address that others could reach.
fn has_no_address(published: &Published) -> bool {
    let reachable = |ip: &IpAddr| callback_url::address_class(*ip).is_none();
    let local = &published.local;
    published.decision.address.is_none() && !local.assigned.iter().chain(&local.tentative).any(reachable)
}
