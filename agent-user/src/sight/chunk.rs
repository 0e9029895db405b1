//! What the sources of sight give: plain text of connections, piece by piece.

use std::net::SocketAddr;

use zeroize::Zeroizing;

/// Where a connection was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// At libssl's functions.
    Tls,
    /// At the network, unencrypted.
    Http,
}

/// One connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowId {
    /// Where it was seen.
    pub source: Source,
    /// Of the process and its SSL object, or of the two ends.
    pub id: u64,
}

/// Which way a piece goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client.
    Out,
    /// To the client.
    In,
}

/// Whose connection it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Who {
    /// The process, where it is known.
    pub pid: Option<u32>,
    /// The user, where it is known.
    pub uid: Option<u32>,
    /// It is of this network namespace.
    pub own_namespace: bool,
}

/// One piece of plain text of one connection.
#[derive(Debug)]
pub struct Chunk {
    /// Of which connection.
    pub flow: FlowId,
    /// Which way it goes.
    pub direction: Direction,
    /// Whose it is.
    pub who: Who,
    /// Where the connection leads, where it is known.
    pub remote: Option<SocketAddr>,
    /// Something of this connection is missing before it.
    pub lost_before: bool,
    /// The piece. It may hold the token: it is wiped.
    pub bytes: Zeroizing<Vec<u8>>,
}

/// What a source gives.
#[derive(Debug)]
pub enum Seen {
    /// A piece.
    Chunk(Chunk),
    /// A connection has ended.
    End(FlowId),
    /// So many events are lost, of unknown connections.
    Lost(u64),
}
