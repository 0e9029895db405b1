//! The way in for fuzzing: one datagram, read as everything that is ever read from netlink.

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_sock_diag::SockDiagMessage;

use crate::frames::frames;
use crate::kernel::{as_link, read_address, read_route};
use crate::question::{Answer, Extent};
use crate::standing::Standing;

/// Reads it as multicast messages and as the answer to each kind of question; gives how many messages it has, the
/// broken one at its end included.
pub fn read(datagram: &[u8]) -> usize {
    let sequence = frames(datagram).find_map(Result::ok).map_or(0, |frame| frame.sequence);
    for extent in [Extent::One, Extent::Dump] {
        // An error is an answer too: what counts is that there is one.
        let _ = Answer::to(sequence, extent).take(datagram, &as_link);
        let _ = Answer::to(sequence, extent).take(datagram, &|message| match message {
            RouteNetlinkMessage::NewAddress(address) => read_address(&address),
            _ => None,
        });
        let _ = Answer::to(sequence, extent).take(datagram, &|message| match message {
            RouteNetlinkMessage::NewRoute(route) => read_route(route).ok(),
            _ => None,
        });
        let _ = Answer::to(sequence, extent).take(datagram, &|message| match message {
            SockDiagMessage::InetResponse(response) => Some(response.header.socket_id),
            _ => None,
        });
        let _ = Answer::to(sequence, extent).take(datagram, &Standing::of);
    }
    frames(datagram).count()
}
