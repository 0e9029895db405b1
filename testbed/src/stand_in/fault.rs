//! What can go wrong between the client's request and its answer.

use std::collections::VecDeque;
use std::time::Duration;

/// Which requests a fault is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// Every request.
    Any,
    /// `GET /`
    Root,
    /// `GET /v1/lookup`, and the vendor passthru of that name
    Lookup,
    /// `POST /v1/heartbeat/...`, and the vendor passthru of that name
    Heartbeat,
}

impl Path {
    pub(super) fn covers(self, path: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Root => path == "/",
            Self::Lookup => path == "/v1/lookup" || path.ends_with("/vendor_passthru/lookup"),
            Self::Heartbeat => {
                path.starts_with("/v1/heartbeat/") || path.ends_with("/vendor_passthru/heartbeat")
            }
        }
    }
}

/// A fault. A refused connection needs none: a port where nothing listens does that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Reads the request and never answers.
    Silent,
    /// Answers rightly, but late.
    Late(Duration),
    /// Closes the connection without an answer.
    CloseBeforeResponse,
    /// Resets the connection without an answer.
    ResetBeforeResponse,
    /// Resets the connection in the middle of the body of a 200 answer.
    ResetMidBody,
    /// This status and body, as they are.
    Status(u16, String),
    /// This status and an error text, encoded as Ironic does.
    Error(u16, String),
    /// Status 200 (202 for a heartbeat) and JSON that is cut off.
    GarbageJson,
    /// Something that is not HTTP.
    NotHttp,
    /// A 200 answer with this many bytes of body.
    HugeBody(u64),
    /// A 200 answer with a head of this many bytes.
    HugeHead(usize),
    /// A 200 answer whose body comes at one byte in this time.
    SlowBody(Duration),
    /// 302 to this URL.
    Redirect(String),
}

/// The faults to come, in order; and the ones that stay.
#[derive(Debug, Default)]
pub(super) struct Script {
    once: VecDeque<(Path, Fault)>,
    always: Vec<(Path, Fault)>,
}

impl Script {
    pub fn push(&mut self, path: Path, fault: Fault) {
        self.once.push_back((path, fault));
    }

    pub fn set(&mut self, path: Path, fault: Option<Fault>) {
        self.always.retain(|(p, _)| *p != path);
        self.always.extend(fault.map(|fault| (path, fault)));
    }

    /// The fault for a request to `path` (without query).
    pub fn take(&mut self, path: &str) -> Option<Fault> {
        if let Some(at) = self.once.iter().position(|(p, _)| p.covers(path)) {
            return self.once.remove(at).map(|(_, fault)| fault);
        }
        let stays = self.always.iter().find(|(p, _)| p.covers(path));
        stays.map(|(_, fault)| fault.clone())
    }
}
