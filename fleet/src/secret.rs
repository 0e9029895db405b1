//! Secrets in files: the first line.

use std::path::Path;

use exporter::read_file;
use text::Secret;
use zeroize::Zeroizing;

/// Reads it.
///
/// # Errors
/// What is wrong with the file, for people; nothing of its content.
pub fn first_line(path: &Path) -> Result<Secret, String> {
    let content = read_file(path).map(Zeroizing::new).map_err(|error| error.to_string())?;
    let line = std::str::from_utf8(&content).ok().and_then(|text| text.lines().next());
    let line = line.filter(|line| !line.is_empty());
    line.map(|line| Secret::new(line.to_owned()))
        .ok_or_else(|| "one line of text is wanted, and it holds none".to_owned())
}
