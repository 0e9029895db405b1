//! How it went with the probes on libssl.

use std::path::PathBuf;

use serde::Serialize;

use crate::probes::Unavailable;

/// What is seen of https, and why the rest is not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Requests are seen.
    pub attached: bool,
    /// Why not.
    #[serde(flatten)]
    pub missing: Option<Unavailable>,
    /// Answers are seen too.
    pub answers: bool,
    /// Why they are not although requests are.
    pub answers_missing: Option<Unavailable>,
    /// The files that are watched.
    pub libraries: Vec<PathBuf>,
    /// The interpreters that link these, without links: of an IPA of another one nothing may be seen.
    pub interpreters: Vec<PathBuf>,
    /// What is seen less well than it could be, a sentence each.
    pub notes: Vec<String>,
}

impl Report {
    /// Nothing is seen, for this reason.
    pub fn none(why: &Unavailable) -> Self {
        Self { missing: Some(why.clone()), ..Self::default() }
    }
}
