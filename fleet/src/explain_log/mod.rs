//! `explain-log`: which nodes failed by their agent URL, out of a conductor's log. The log is streamed: whatever its size,
//! a record and what was found so far is all that is kept.

mod found;
mod print;
mod records;
mod words;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write, stdin};

pub use found::Found;
pub use records::Records;

use crate::show::{Colours, unless_closed};

/// What is read at once.
const BUFFER: usize = 256 << 10;

/// Nothing failed.
const NONE: u8 = 0;
/// A node failed.
const ANY: u8 = 1;

/// Why a log cannot be explained.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// It cannot be read.
    #[error("{name}: {error}")]
    Read {
        /// The file, printable.
        name: String,
        /// What the system said.
        error: io::Error,
    },
    /// Standard output is gone.
    #[error(transparent)]
    Write(#[from] io::Error),
}

/// Reads a file, or standard input where it is `-`; prints what was found, and gives the exit code.
///
/// # Errors
/// Where one cannot be read or the other not be written.
pub fn run(path: &str, colours: Colours, out: &mut impl Write) -> Result<u8, LogError> {
    let unreadable = |error| LogError::Read { name: text::printable(path), error };
    let found = match path {
        "-" => collect(BufReader::with_capacity(BUFFER, stdin().lock())),
        path => {
            let file = File::open(path).map_err(unreadable)?;
            collect(BufReader::with_capacity(BUFFER, file))
        }
    };
    let found = found.map_err(unreadable)?;
    unless_closed(print::print(&found, colours, out).and_then(|()| out.flush()))?;
    Ok(if found.is_empty() { NONE } else { ANY })
}

/// Reads it all.
///
/// # Errors
/// Of the reader.
pub fn collect(input: impl BufRead) -> io::Result<Found> {
    let mut records = Records::new(input);
    let mut found = Found::default();
    while let Some(record) = records.next()? {
        found.add(&record);
    }
    Ok(found)
}

/// What is printed of a log: for the fuzzer.
pub fn printed(input: &[u8]) -> String {
    let found = collect(input).unwrap_or_default();
    let mut out = Vec::new();
    // Writing to memory cannot fail.
    let _ = print::print(&found, Colours::none(), &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
