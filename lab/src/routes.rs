//! Routes by the thousand, as `ip -batch` reads them.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// The address so many behind `FIRST.18.0.0`.
pub fn host(first: u8, n: usize) -> String {
    format!("{first}.{}.{}.{}", 18 + (n >> 16), (n >> 8) & 255, n & 255)
}

/// A line for each of so many routes through a device.
pub fn lines(verb: &str, count: usize, device: &str) -> impl Iterator<Item = String> {
    (0..count).map(move |n| format!("route {verb} {}/32 dev {device}", host(198, n)))
}

/// Writes lines to a file.
///
/// # Errors
/// Where it cannot be written.
pub fn write(path: &Path, lines: impl Iterator<Item = String>) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for line in lines {
        writeln!(file, "{line}")?;
    }
    file.flush()
}
