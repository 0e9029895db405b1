//! What both sources of sight hand on: plain text, piece by piece, of connections that they tell apart.

use std::fmt;
use std::net::SocketAddr;

use text::labels;
use zeroize::Zeroizing;

labels! {
    /// Where a connection is seen.
    pub enum Source {
        /// In libssl.
        Tls = "tls",
        /// On the wire.
        Http = "http",
    }
}

labels! {
    /// Which way text goes.
    pub enum Direction {
        /// From this node.
        Out = "out",
        /// To it.
        In = "in",
    }
}

/// One connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowId {
    /// Where it is seen.
    pub source: Source,
    /// Its number there.
    pub id: u64,
}

/// Who speaks on it, on this node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Who {
    /// The process, as the first pid namespace numbers it.
    pub pid: Option<u32>,
    /// Its real user id.
    pub uid: Option<u32>,
    /// It is in the daemon's network namespace; false where that is not known.
    pub own_namespace: bool,
}

/// One piece of plain text of one connection.
pub struct Chunk {
    /// The connection.
    pub flow: FlowId,
    /// Which way.
    pub direction: Direction,
    /// Who.
    pub who: Who,
    /// The other side, where the source knows it.
    pub remote: Option<SocketAddr>,
    /// Something of this connection is missing before it.
    pub lost_before: bool,
    /// The text, which is wiped when it is dropped.
    pub bytes: Zeroizing<Vec<u8>>,
}

/// What a source has seen.
#[derive(Debug)]
pub enum Seen {
    /// Text.
    Chunk(Chunk),
    /// A connection has ended.
    End(FlowId),
    /// So much more was lost. Where its connection was known, the next chunk of that says so too.
    Lost(u64),
}

/// Without the text: the token may be in it.
impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk")
            .field("flow", &self.flow)
            .field("direction", &self.direction)
            .field("who", &self.who)
            .field("lost_before", &self.lost_before)
            .field("length", &self.bytes.len())
            .finish_non_exhaustive()
    }
}
