//! The last words of nodes: sidecars send what they know (`POST /v1/report`), and it outlives the ramdisk.
//!
//! `intake` lets in, `limits` (pure) says how often, `judge` (pure) who speaks for whom, `clean` (pure) leaves no token in
//! it, `words` keeps the newest of each node, `show` writes it for people. It sets no port, no scheme and no label.

mod clean;
mod intake;
mod judge;
mod limits;
mod show;
mod words;

pub use intake::{OnResult, ReportError, listen};
pub use judge::ReportsResult;
pub use show::section;
pub use words::{LastWords, Words};
