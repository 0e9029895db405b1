//! Commands of `cargo lab`, run as programs of their own: that package builds on this one.

use std::ffi::OsString;
use std::io::pipe;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Context, anyhow};
use xtask::{Missing, process};

fn command() -> Command {
    let mut command = process::cargo();
    command.args(["run", "--quiet", "--package", "lab", "--"]);
    command
}

/// Becomes this command of the lab: its arguments, signals and exit status are the lab's.
///
/// # Errors
/// Where cargo cannot be started.
pub fn become_command(name: &str, flags: &[OsString]) -> anyhow::Result<()> {
    Err(command().arg(name).args(flags).exec()).context("cargo")
}

/// Runs a command of the lab, with its flags, as a stage. The note is the last line that it writes.
///
/// # Errors
/// What the lab reports; [`Missing`] where it reports that something is missing.
pub fn stage(words: &str) -> anyhow::Result<String> {
    stage_marked(words, "")
}

/// As [`stage`], with a mark before each line that it prints.
///
/// # Errors
/// As [`stage`].
pub fn stage_marked(words: &str, mark: &str) -> anyhow::Result<String> {
    let mut command = command();
    command.args(words.split(' '));
    outcome(words, mark, command)
}

fn outcome(name: &str, mark: &str, mut command: Command) -> anyhow::Result<String> {
    let (output, input) = pipe()?;
    command.stdin(Stdio::null()).stdout(input.try_clone()?).stderr(input);
    let mut child = command.spawn().context("cargo")?;
    drop(command); // The last other holder of the pipe's end.
    let (mut last, mut complaint) = (String::new(), None);
    process::pass_on(output, mark, |line| match line.strip_prefix("lab: ") {
        Some(words) => complaint = Some(words.to_owned()),
        None if line.is_empty() => {}
        None => line.clone_into(&mut last),
    })?;
    let status = child.wait()?;
    let complaint = complaint.unwrap_or_else(|| format!("cargo lab {name} ended with {status}"));
    match status.code() {
        Some(0) => Ok(last),
        Some(69) => Err(Missing(complaint).into()),
        _ => Err(anyhow!(complaint)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_the_complaint_and_what_is_missing_come_back() {
        let run = |script: &str| {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", script]);
            outcome("soak", "", command)
        };
        assert_eq!(run("echo early; echo; echo the note; echo").unwrap(), "the note");
        let error = run("echo early; echo 'lab: broken' >&2; exit 1").unwrap_err();
        assert!(!error.is::<Missing>() && error.to_string() == "broken", "{error}");
        assert!(run("echo 'lab: no strace' >&2; exit 69").unwrap_err().is::<Missing>());
        let error = run("exit 64").unwrap_err().to_string();
        assert_eq!(error, "cargo lab soak ended with exit status: 64");
    }
}
