//! Messages of sock_diag, which need no speed: each is read whole.

use netlink_packet_core::{NetlinkDeserializable, NetlinkHeader};
use netlink_packet_sock_diag::SockDiagMessage;

use crate::frames::Frame;

/// What it says; `None` where it cannot be read.
pub fn message(frame: &Frame<'_>) -> Option<SockDiagMessage> {
    let mut header = NetlinkHeader::default();
    header.message_type = frame.kind;
    let message = SockDiagMessage::deserialize(&header, frame.payload());
    message.inspect_err(|error| tracing::debug!(%error, "a message of sock_diag cannot be read")).ok()
}
