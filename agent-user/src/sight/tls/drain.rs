//! Taking what the programs have seen out of their slots, and sending it on.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hash};
use std::os::fd::AsFd;
use std::time::Duration;

use agent_ebpf::tls::{PIECES_LENGTH, Piece, SLOTS, kind};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::load::Attached;
use crate::probes::drain::{readable, watched};
use crate::sight::chunk::{Chunk, Direction, FlowId, Seen, Source, Who};

/// How long pieces may lie. Short, since only what looks like a request of IPA's fills slots: 2 MiB a second and more pass.
const PACE: Duration = Duration::from_millis(10);
/// At most so many are read at once: a storm must not keep the one thread from its other work.
const BATCH: usize = SLOTS as usize;
/// Connections of which the receiver still has to hear that something was lost.
const MOST_MARKED: usize = 1024;

/// Empties the slots into the channel, once more when it is dropped.
#[derive(Debug)]
pub struct Drain {
    attached: Attached,
    outlet: Outlet,
    /// What the programs have counted so far.
    lost: u64,
}

/// The channel, and what it has had no room for.
#[derive(Debug)]
struct Outlet {
    sender: mpsc::Sender<Seen>,
    /// Losses that the receiver has not heard of.
    lost: u64,
    /// Connections whose next chunk comes after a loss.
    marked: HashSet<FlowId>,
}

impl Drain {
    /// Of what is attached.
    pub fn new(attached: Attached, sender: mpsc::Sender<Seen>) -> Self {
        Self { attached, outlet: Outlet { sender, lost: 0, marked: HashSet::new() }, lost: 0 }
    }

    /// Works until it is dropped.
    pub async fn run(mut self) {
        let pieces = watched(self.attached.pieces.as_fd());
        loop {
            if pieces.is_some() {
                readable(pieces.as_ref()).await;
            }
            sleep(PACE).await;
            while self.drain() > 0 || self.outlet.lost > 0 {
                sleep(PACE).await;
            }
        }
    }

    /// Gives how many pieces there were.
    fn drain(&mut self) -> usize {
        let mut count = 0;
        while count < BATCH {
            let Some(item) = self.attached.pieces.next() else {
                break;
            };
            count += 1;
            let piece = Piece::read(&item);
            drop(item);
            if let Some(piece) = piece {
                self.send(&piece);
            }
        }
        let lost = self.attached.slots.lost();
        self.outlet.lost += lost.saturating_sub(self.lost);
        self.lost = lost;
        self.outlet.tell_losses();
        count
    }

    fn send(&mut self, piece: &Piece) {
        let flow = FlowId { source: Source::Tls, id: id(piece) };
        let direction = match piece.kind {
            kind::OUT => Direction::Out,
            kind::IN => Direction::In,
            _ => return self.outlet.send(flow, Seen::End(flow)),
        };
        let Some(bytes) = self.attached.slots.take(piece.slot, piece.length) else {
            return self.outlet.lose(flow);
        };
        let own_namespace =
            piece.network_namespace != 0 && piece.network_namespace == self.attached.namespace;
        let who = Who { pid: Some(piece.process), uid: Some(piece.user), own_namespace };
        let lost_before = piece.lost_before != 0 || self.outlet.marked.remove(&flow);
        let chunk = Chunk { flow, direction, who, remote: None, lost_before, bytes };
        self.outlet.send(flow, Seen::Chunk(chunk));
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.attached.links.end();
        for _ in 0..=PIECES_LENGTH / SLOTS {
            if self.drain() == 0 {
                break;
            }
        }
        self.attached.slots.wipe();
    }
}

impl Outlet {
    fn send(&mut self, flow: FlowId, seen: Seen) {
        let ends = matches!(seen, Seen::End(_));
        if self.sender.try_send(seen).is_err() {
            self.lose(flow);
        }
        if ends {
            self.marked.remove(&flow);
        }
    }

    fn lose(&mut self, flow: FlowId) {
        self.lost += 1;
        if self.marked.len() < MOST_MARKED {
            self.marked.insert(flow);
        }
    }

    fn tell_losses(&mut self) {
        if self.lost > 0 && self.sender.try_send(Seen::Lost(self.lost)).is_ok() {
            self.lost = 0;
        }
    }
}

/// The number of a connection: another process, another `SSL` or a later use of the same address has another.
fn id(piece: &Piece) -> u64 {
    let mut hasher = std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default().build_hasher();
    (piece.process, piece.ssl, piece.born).hash(&mut hasher);
    std::hash::Hasher::finish(&hasher)
}
