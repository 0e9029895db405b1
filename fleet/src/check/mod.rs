//! `check`: one look at all nodes, and what to say of it.

mod json;
mod table;

use std::io::{self, IsTerminal, Write, stderr};

use crate::api::{Api, ApiError};
use crate::params::Parameters;
use crate::poll::{Look, Wish, look};
use crate::show::{Colours, unless_closed};

/// All good.
const GOOD: u8 = 0;
/// An agent URL is bad, or a node failed.
const BAD: u8 = 1;
/// Something may be hidden: never taken for good.
const BLIND: u8 = 2;

/// Why there was no look.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The operator's settings cannot be used.
    #[error("{0}")]
    Usage(String),
    /// Standard output is gone.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// How it is shown.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// JSON, in the place of a table.
    pub json: bool,
    /// Colours in the table.
    pub colours: Colours,
}

/// Looks, prints, and gives the exit code.
///
/// # Errors
/// For settings that cannot be used, and where `out` cannot be written.
pub async fn run(
    parameters: &Parameters,
    wish: &Wish,
    form: Form,
    out: &mut impl Write,
) -> Result<u8, CheckError> {
    let mut progress = Progress { shown: stderr().is_terminal() && !form.json, width: 0 };
    let looked = match Api::open(parameters).await {
        Ok((api, warnings)) => {
            let mut looked = look(&api, wish, &mut |words| progress.say(words)).await;
            looked.notes.extend(warnings);
            let (requests, bytes) = api.asked();
            tracing::info!(requests, bytes, "asked Ironic");
            looked
        }
        Err(ApiError::Usage(problem)) => return Err(CheckError::Usage(problem)),
        Err(error) => Look { blind: vec![error.to_string()], ..Look::default() },
    };
    progress.end();
    let printed = match form.json {
        true => json::print(&looked, wish.all, out),
        false => table::print(&looked, wish, form.colours, out),
    };
    unless_closed(printed.and_then(|()| out.flush()))?;
    Ok(code(&looked))
}

fn code(look: &Look) -> u8 {
    let is_bad = look.nodes.values().any(|node| node.is_bad() || node.failure.is_some());
    match (look.is_blind(), is_bad) {
        (true, _) => BLIND,
        (false, true) => BAD,
        (false, false) => GOOD,
    }
}

/// A line on standard error that each step writes anew.
struct Progress {
    shown: bool,
    width: usize,
}

impl Progress {
    fn say(&mut self, words: &str) {
        if self.shown {
            let _ = write!(stderr(), "\r{words:width$}", width = self.width);
            let _ = stderr().flush();
            self.width = words.chars().count();
        }
    }

    fn end(&mut self) {
        if self.width > 0 {
            let _ = write!(stderr(), "\r{:width$}\r", "", width = self.width);
            let _ = stderr().flush();
        }
    }
}
