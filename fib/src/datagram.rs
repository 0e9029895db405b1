//! The way in for fuzzing: one datagram, read as everything that is ever read from netlink.

use netlink_packet_sock_diag::SockDiagMessage;

use crate::frames::frames;
use crate::message::Damage;
use crate::question::{Answer, Extent};
use crate::read::{address, link, route};
use crate::standing::Standing;

/// Reads it as multicast messages and as the answer to each kind of question; gives how many messages it has, the
/// broken one at its end included.
pub fn read(datagram: &[u8]) -> usize {
    let sequence = frames(datagram).find_map(Result::ok).map_or(0, |frame| frame.sequence);
    for extent in [Extent::One, Extent::Dump] {
        // An error is an answer too: what counts is that there is one.
        let damage = Damage::default();
        let _ = Answer::to(sequence, extent).take(datagram, &|message| link(&message, &damage));
        let _ = Answer::to(sequence, extent).take(datagram, &|message| address(&message, &damage));
        let _ = Answer::to(sequence, extent).take(datagram, &|message| route(&message, &damage));
        let _ = Answer::to(sequence, extent).take(datagram, &|message| match message {
            SockDiagMessage::InetResponse(response) => Some(response.header.socket_id),
            _ => None,
        });
        let _ = Answer::to(sequence, extent).take(datagram, &Standing::of);
    }
    frames(datagram).count()
}
