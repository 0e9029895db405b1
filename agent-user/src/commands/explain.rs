//! `explain`: which address would be advertised, every candidate and every reason.

use std::io::{self, Write};
use std::sync::Arc;

use callback_url::Local;
use fib::{Kernel, RtnlError};
use thiserror::Error;

use crate::advertise::{Decision, Explanation, TargetTrace, decide};
use crate::ipa::place::Place;
use crate::params::Parameters;
use crate::watch::{Question, Resolver, ask};

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ExplainError {
    /// The kernel cannot be asked.
    #[error("cannot ask the kernel: {0}")]
    Kernel(#[from] RtnlError),
}

/// Resolves, asks and decides once.
///
/// # Errors
/// Where the kernel cannot be asked.
pub async fn decide_once(parameters: &Parameters) -> Result<Decision, ExplainError> {
    Ok(look(parameters).await?.0)
}

/// The same, with this machine's addresses where their list is complete.
///
/// # Errors
/// Where the kernel cannot be asked.
pub async fn look(parameters: &Parameters) -> Result<(Decision, Option<Local>), ExplainError> {
    let targets = Resolver::default().resolve(&parameters.ironic.api_urls).await.targets;
    let mut kernel = Kernel::open()?;
    let interface = parameters.advertise.interface.clone();
    let asked = ask(&mut kernel, &Question { targets, interface, ..Question::default() });
    Ok((decide(&asked.facts, &parameters.advertise), asked.local.map(Arc::unwrap_or_clone)))
}

/// Prints a decision and where the drop-in goes, for people; or the decision as JSON.
///
/// # Errors
/// Where `out` cannot be written.
pub fn print(decision: &Decision, place: &Place, json: bool, out: &mut impl Write) -> io::Result<()> {
    if json {
        serde_json::to_writer_pretty(&mut *out, &Explanation::from(decision))?;
        return writeln!(out);
    }
    writeln!(out, "{decision}")?;
    if let Some(url) = &decision.callback_url {
        writeln!(out, "callback URL {url}")?;
    }
    writeln!(out, "{}", place.shown())?;
    decision.trace.iter().try_for_each(|target| print_target(target, out))
}

fn print_target(target: &TargetTrace, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\nAPI {}", target.url)?;
    if let Some(failure) = &target.failure {
        writeln!(out, "  no: {failure}")?;
    }
    for candidate in &target.resolved {
        write!(out, "  {}: ", if candidate.accepted { "yes" } else { "no" })?;
        write!(out, "to {}", candidate.ip)?;
        if let Some(source) = candidate.source {
            write!(out, " from {source}")?;
        }
        if let Some(device) = &candidate.device {
            write!(out, " on {device}")?;
        }
        if let Some(table) = candidate.table_name() {
            write!(out, ", table {table}")?;
        }
        match (candidate.reason, &candidate.detail) {
            (Some(reason), Some(detail)) => writeln!(out, " ({reason}: {detail})")?,
            _ => writeln!(out)?,
        }
    }
    Ok(())
}
