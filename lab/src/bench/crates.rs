//! What each crate has in the binary, by the symbols of its functions and constants.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::Context;
use xtask::{dist, process};

use super::report::Figure;
use super::{Bench, size};

/// Crates with less are counted together.
const LEAST: u64 = 10_000;

/// Builds the release with its symbols, and adds them up.
pub fn measure(_bench: &Bench) -> anyhow::Result<Figure> {
    let release = size::bytes(&dist::release_here()?.binary)?;
    let binary = dist::with_symbols_here()?;
    let table = process::output(Command::new("nm").args(["--print-size", "--demangle"]).arg(&binary))?;
    let crates = by_crate(&table);
    let named: u64 = crates.values().sum();
    let (mut crates, few): (Vec<_>, Vec<_>) = crates.into_iter().partition(|(_, bytes)| *bytes >= LEAST);
    crates.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let mut figure = Figure::new(
        "What takes the bytes of the binary",
        "Functions and constants of the release of `cargo xtask dist`, built once more with its symbols, by the crate that \
         wrote them. A generic function counts where it is written. Equal functions stand once and count for one of their \
         crates. Constants without a symbol, which are most texts and tables, are in the last line.",
    );
    let shown = |bytes: u64| format!("{bytes} bytes");
    for (name, bytes) in crates {
        figure.row(name, shown(bytes));
    }
    let rest: u64 = few.iter().map(|(_, bytes)| bytes).sum();
    figure.row(format!("{} more crates with less than {LEAST} bytes each", few.len()), shown(rest));
    let without = release.checked_sub(named).context("the symbols have more bytes than the binary")?;
    figure.row("all without a symbol", shown(without));
    Ok(figure)
}

/// Sums by the crate, of lines as nm(1) prints them: address, size, kind, name.
fn by_crate(table: &str) -> BTreeMap<String, u64> {
    let mut crates = BTreeMap::new();
    let mut seen = std::collections::HashSet::new();
    for line in table.lines() {
        let mut words = line.splitn(4, ' ');
        let (Some(address), Some(size), Some(kind), Some(name)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            continue; // Without a size.
        };
        // Of the zeroes at the start nothing is in the file, nor of thread-local ones.
        let Ok(size) = u64::from_str_radix(size, 16) else { continue };
        if !matches!(kind, "b" | "B") && seen.insert(address) {
            *crates.entry(owner(name)).or_default() += size;
        }
    }
    crates
}

/// The crate of a symbol: the first name of its path. All without a path are C's or an assembler's.
fn owner(name: &str) -> String {
    let path = name.trim_start_matches(['<', '&', '*', '(', '[']);
    let path = path.strip_prefix("mut ").or_else(|| path.strip_prefix("dyn ")).unwrap_or(path);
    let crate_name = path.split("::").next().unwrap_or_default();
    let is_one = path.contains("::") && crate_name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match crate_name {
        _ if name.starts_with("ring_core") => "ring".to_owned(),
        _ if is_one => crate_name.to_owned(),
        _ if name.starts_with('<') => "core".to_owned(),
        _ => "C library, assembler and symbols without a path".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_symbol_counts_for_the_crate_that_wrote_it() {
        let table = "\
0000000000001000 0000000000000010 t tokio::runtime::park\n\
0000000000001000 0000000000000010 t hyper::the_same\n\
0000000000001010 0000000000000020 T <aya::maps::Map as core::fmt::Debug>::fmt\n\
0000000000001030 0000000000000008 r <&mut [u8] as core::fmt::Debug>::fmt\n\
0000000000001040 0000000000000004 T ring_core_0_17_14__x25519_NEON\n\
0000000000001050 0000000000000002 T printf\n\
0000000000002000 0000000000009000 b tokio::ZEROES\n\
0000000000003000 A an_absolute_one\n";
        let expected = [
            ("C library, assembler and symbols without a path", 2),
            ("aya", 32),
            ("core", 8),
            ("ring", 4),
            ("tokio", 16),
        ];
        let found = by_crate(table);
        assert_eq!(found.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect::<Vec<_>>(), expected);
    }
}
