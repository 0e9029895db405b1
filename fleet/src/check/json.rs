//! `check --json`.

use std::io::{self, Write};

use serde::Serialize;

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
    serde_json::to_writer_pretty(&mut *out, &document)?;
    writeln!(out)
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
