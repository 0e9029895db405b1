//! `check-url`: judges callback URLs.

use std::io::{self, BufRead, Write};

use callback_url::{Context, Judgement, Local, Verdict, judge};
use fib::RtnlError;
use serde::Serialize;

use crate::params::Parameters;

use super::explain::{ExplainError, look};

/// The longest line of standard input that is judged as it is, in bytes; the rest of a longer one is passed over.
const LONGEST_LINE: u64 = 64 << 10;

/// One entry of `check-url --json`.
#[derive(Serialize)]
struct Entry<'a> {
    url: &'a str,
    verdict: Verdict,
    reasons: Vec<&'static str>,
    warnings: Vec<&'static str>,
    suggestion: Option<&'a str>,
}

/// What this machine knows of itself, for `--local`.
///
/// # Errors
/// Where the kernel cannot be asked.
pub async fn local(parameters: &Parameters) -> Result<Local, ExplainError> {
    let (decision, local) = look(parameters).await?;
    let local = local.ok_or(RtnlError::Interrupted)?;
    Ok(Local { decided: decision.address, ..local })
}

/// The URLs of the arguments; `-` stands for the lines of standard input.
///
/// # Errors
/// Where standard input cannot be read.
pub fn collect(arguments: impl Iterator<Item = String>, mut input: impl BufRead) -> io::Result<Vec<String>> {
    let mut urls = Vec::new();
    for argument in arguments {
        if argument != "-" {
            urls.push(argument);
            continue;
        }
        while let Some(line) = read_line(&mut input)? {
            urls.push(line);
        }
    }
    Ok(urls)
}

/// The next line without its end; `None` after the last one.
fn read_line(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    if io::Read::take(&mut *input, LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    let Some(whole) = line.strip_suffix(b"\n") else {
        input.skip_until(b'\n')?;
        return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
    };
    let whole = whole.strip_suffix(b"\r").unwrap_or(whole);
    Ok(Some(String::from_utf8_lossy(whole).into_owned()))
}

/// Prints the judgements; true where every URL is good.
///
/// # Errors
/// Where `out` cannot be written.
pub fn print(urls: &[String], context: &Context, json: bool, out: &mut impl Write) -> io::Result<bool> {
    let judged: Vec<_> = urls.iter().map(|url| (url, judge(url, context))).collect();
    if json {
        let entries: Vec<_> = judged.iter().map(|(url, judgement)| entry(url, judgement)).collect();
        serde_json::to_writer_pretty(&mut *out, &entries)?;
        writeln!(out)?;
    } else {
        judged.iter().try_for_each(|(url, judgement)| print_one(url, judgement, out))?;
    }
    Ok(judged.iter().all(|(_, judgement)| judgement.verdict == Verdict::Good))
}

fn entry<'a>(url: &'a str, judgement: &'a Judgement) -> Entry<'a> {
    Entry {
        url,
        verdict: judgement.verdict,
        reasons: judgement.reasons.iter().map(|reason| reason.as_str()).collect(),
        warnings: judgement.warnings.iter().map(|warning| warning.as_str()).collect(),
        suggestion: judgement.suggestion.as_deref(),
    }
}

fn print_one(url: &str, judgement: &Judgement, out: &mut impl Write) -> io::Result<()> {
    let word = match judgement.verdict {
        Verdict::Good => "good",
        Verdict::Bad => "bad ",
    };
    // Debug formatting escapes what a terminal would act on.
    writeln!(out, "{word} {url:?}")?;
    for reason in &judgement.reasons {
        writeln!(out, "       {}: {}", reason.as_str(), reason.words())?;
    }
    for warning in &judgement.warnings {
        writeln!(out, "       warning {}: {}", warning.as_str(), warning.words())?;
    }
    match &judgement.suggestion {
        Some(suggestion) => writeln!(out, "       it was meant to be {suggestion}"),
        None => Ok(()),
    }
}
