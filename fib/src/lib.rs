//! What the kernel says over rtnetlink, and nothing from text.
//!
//! [`Monitor`] hears that something changed; [`Kernel`] is asked what is true now. They have a socket each, so that a
//! storm of changes cannot delay an answer. No route is ever kept here.

#[cfg(test)]
mod captured;
mod closed;
#[cfg(test)]
mod compared;
mod connections;
mod cookie;
#[doc(hidden)]
pub mod datagram;
mod errno;
mod frames;
mod kernel;
mod listeners;
mod message;
mod monitor;
mod question;
mod read;
mod request;
mod sock_diag;
mod socket;
mod standing;

pub use closed::ClosedConnections;
pub use connections::{Connection, connections};
pub use cookie::{Owner, socket_cookie, socket_owner};
pub use errno::{ERRNO_NAMES, Errno};
pub use kernel::{Asked, Kernel, RouteQuestion, Subject};
pub use listeners::listens;
pub use monitor::{ChangeKind, Heard, Monitor};
pub use question::Seen;
pub use read::{Address, AddressChange, Assignment, Link, Route};
pub use socket::NetlinkSocket;
pub use standing::{Standing, Traffic, end_connection, standing};

use std::io;

use thiserror::Error;

/// What can go wrong between us and the kernel.
#[derive(Debug, Error)]
pub enum RtnlError {
    /// The kernel answered with an error number.
    #[error("the kernel answers {0}")]
    Refused(Errno),
    /// The kernel does not understand the question.
    #[error("the kernel does not take the question: {0}")]
    Malformed(String),
    /// The socket itself failed.
    #[error("netlink socket: {0}")]
    Socket(#[from] io::Error),
    /// An answer that is no netlink message, or not the one that was asked for.
    #[error("netlink answer cannot be read: {0}")]
    Undecodable(String),
    /// A dump was interrupted by changes at every try.
    #[error("the kernel's tables change faster than they can be read")]
    Interrupted,
}

impl RtnlError {
    /// The kernel's error number, where it gave one.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Refused(errno) => Some(*errno),
            _ => None,
        }
    }
}

/// The examples of the README are run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
