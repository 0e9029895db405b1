//! `check --json`.

use std::io::{self, Write};

use serde::Serialize;
use text::inert;

use crate::poll::Look;
use crate::subject::Subject;

/// The whole document.
#[derive(Serialize)]
struct Document<'a> {
    visible: usize,
    nodes: Vec<&'a Subject>,
    problems: Vec<&'a str>,
}

/// Prints it; nodes without a remark only where all are wanted.
pub fn print(look: &Look, all: bool, out: &mut impl Write) -> io::Result<()> {
    let problems = look.blind.iter().chain(&look.notes).map(String::as_str).collect();
    let document = Document { visible: look.visible, nodes: sorted(look, all), problems };
    let text = serde_json::to_string_pretty(&document)?;
    for character in text.chars() {
        write_inert(character, out)?;
    }
    writeln!(out)
}

/// Outside of ASCII there are only characters of strings: one that turns the direction of a terminal's text, or that cannot
/// be seen, is written as JSON's escape.
fn write_inert(character: char, out: &mut impl Write) -> io::Result<()> {
    if (character.is_ascii() && character != '\u{7f}') || inert(character).eq([character]) {
        return write!(out, "{character}");
    }
    character.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))
}

/// The worst first, of these the newest, then by name.
pub fn sorted(look: &Look, all: bool) -> Vec<&Subject> {
    let mut nodes: Vec<_> = look.nodes.values().filter(|node| all || node.has_remark()).collect();
    nodes.sort_by_key(|node| {
        let at = node.failure.as_ref().map(|failure| failure.at);
        (node.rank(), std::cmp::Reverse(at), node.name.as_deref().unwrap_or(&node.uuid))
    });
    nodes
}
