//! The way in for fuzzing: one datagram, read as everything that is ever read from netlink.

use crate::connections::Connection;
use crate::frames::frames;
use crate::listeners::Listener;
use crate::message::Damage;
use crate::question::{Answer, Extent};
use crate::read::{address, address_change, link, route};
use crate::sock_diag::message;
use crate::standing::Standing;

/// Reads it as multicast messages and as the answer to each kind of question; gives how many messages it has, the
/// broken one at its end included.
pub fn read(datagram: &[u8]) -> usize {
    let sequence = frames(datagram).find_map(Result::ok).map_or(0, |frame| frame.sequence);
    let damage = Damage::default();
    for extent in [Extent::One, Extent::Dump, Extent::Nothing] {
        // An error is an answer too: what counts is that there is one.
        let _ = Answer::to(sequence, extent).take(datagram, &mut |frame| {
            let _ = (link(frame, &damage), address(frame, &damage), route(frame, &damage));
            let _ = address_change(frame, &damage);
            let _ = message(frame).and_then(Listener::of);
            let _ = message(frame).and_then(Connection::of);
            let _ = message(frame).and_then(Standing::of);
        });
    }
    frames(datagram).count()
}
