//! `params`: every parameter, its value and where it came from.

use std::io::{self, Write};

use serde_json::Value;
use text::printable;

use crate::params::{Entry, Loaded};

/// The exit status where a value is unusable (EX_DATAERR in sysexits.h).
const UNUSABLE: u8 = 65;

/// Prints a table, or the array of `params --json`; problems go to stderr, a line each. Gives the exit status: 0, or
/// 65 where a value is unusable.
///
/// # Errors
/// Where `out` cannot be written.
pub fn run(loaded: &Loaded, json: bool, out: &mut impl Write) -> io::Result<u8> {
    report(loaded, json, out, &mut io::stderr().lock())
}

fn report(loaded: &Loaded, json: bool, out: &mut impl Write, err: &mut impl Write) -> io::Result<u8> {
    if json {
        serde_json::to_writer_pretty(&mut *out, &loaded.entries)?;
        writeln!(out)?;
    } else {
        table(&loaded.entries, out)?;
    }
    out.flush()?;
    for problem in &loaded.problems {
        let _ = writeln!(err, "{problem}"); // Without a stderr the status still tells.
    }
    Ok(if loaded.has_unusable() { UNUSABLE } else { 0 })
}

fn table(entries: &[Entry], out: &mut impl Write) -> io::Result<()> {
    let rows: Vec<[String; 3]> = entries
        .iter()
        .map(|entry| {
            let origin = format!("{}: {}", entry.source.as_str(), entry.detail);
            [entry.name.to_owned(), shown(&entry.value), origin]
        })
        .collect();
    let width =
        |of: fn(&[String; 3]) -> &String| rows.iter().map(|row| of(row).chars().count()).max().unwrap_or(0);
    let (names, values) = (width(|[name, ..]| name), width(|[_, value, _]| value));
    for [name, value, origin] in &rows {
        writeln!(out, "{name:names$}  {value:values$}  {origin}")?;
    }
    Ok(())
}

/// A value as a person would write it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => printable(text),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}
