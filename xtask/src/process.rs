//! Running other programs: what is run is shown, what it writes is seen at once, a failure is an error.

use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// Cargo, as whoever runs us would call it.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What `cargo run` set for this program; build scripts that look at it would run again each time.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command.env("PATH", search_path());
    command
}

/// PATH, and where Debian keeps root's programs (losetup, mkfs.vfat): it is missing in the PATH of some logins.
pub fn search_path() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories: Vec<_> = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).collect();
    env::join_paths(directories).unwrap_or(path)
}

/// Runs it in the foreground, without input.
///
/// # Errors
/// Where it cannot be started, or fails.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    println!("+ {}", shown(command));
    let status = command.stdin(Stdio::null()).status().with_context(|| shown(command))?;
    succeeded(command, status, "")
}

/// As [`run`]; each line of its standard output is also handed to `see`.
///
/// # Errors
/// As [`run`].
pub fn run_seen(command: &mut Command, see: impl FnMut(&str)) -> anyhow::Result<()> {
    println!("+ {}", shown(command));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| shown(command))?;
    pass_on(child.stdout.take().context("no pipe to its output")?, "", see)?;
    succeeded(command, child.wait()?, "")
}

/// Writes what a program writes to our standard output, the mark before each line; each line is also handed to `see`.
///
/// # Errors
/// Where the one cannot be read or the other not be written.
pub fn pass_on(output: impl Read, mark: &str, mut see: impl FnMut(&str)) -> std::io::Result<()> {
    let (mut output, mut line) = (BufReader::new(output), Vec::new());
    while output.read_until(b'\n', &mut line)? > 0 {
        // In one write, as others may print meanwhile.
        std::io::stdout().write_all(&[mark.as_bytes(), &line].concat())?;
        see(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
    Ok(())
}

/// Runs it unseen; gives its standard output without the white space around it.
///
/// # Errors
/// As [`run`], with what it wrote to its standard error.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| shown(command))?;
    succeeded(command, output.status, String::from_utf8_lossy(&output.stderr).trim())?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The last lines of a text.
pub fn last_lines(text: &str, count: usize) -> String {
    let skip = text.lines().count().saturating_sub(count);
    text.lines().skip(skip).collect::<Vec<_>>().join("\n")
}

/// Runs a cargo build quietly: a line now and then says how far it is, and what it wrote is shown where it fails.
///
/// # Errors
/// As [`run`].
pub fn build_quietly(command: &mut Command) -> anyhow::Result<()> {
    const PACE: Duration = Duration::from_secs(20);
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| shown(command))?;
    let (started, mut reported, mut crates, mut written) = (Instant::now(), Instant::now(), 0, String::new());
    for line in BufReader::new(child.stderr.take().context("no pipe to its output")?).lines() {
        let line = line?;
        crates += usize::from(line.trim_start().starts_with("Compiling"));
        if reported.elapsed() >= PACE {
            eprintln!("  building: {crates} crates so far, {} s", started.elapsed().as_secs());
            reported = Instant::now();
        }
        written.push_str(&line);
        written.push('\n');
    }
    succeeded(command, child.wait()?, &written)
}

fn succeeded(command: &Command, status: ExitStatus, written: &str) -> anyhow::Result<()> {
    if status.success() {
        return Ok(());
    }
    bail!("{}", format!("{} ended with {status}\n{written}", shown(command)).trim_end())
}

/// The words of a command, the program without its directory.
fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let mut text = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for word in command.get_args() {
        text.push(' ');
        text.push_str(&word.to_string_lossy());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_seen_and_a_failure_names_the_command() {
        let mut seen = Vec::new();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo one; printf two; exit 3"]);
        let error = run_seen(&mut command, |line| seen.push(line.to_owned())).unwrap_err().to_string();
        assert_eq!(seen, ["one", "two"]);
        assert!(error.starts_with("sh -c echo one") && error.ends_with("exit status: 3"), "{error}");
        assert!(run(Command::new("/bin/sh").args(["-c", "exit 1"])).is_err());
        assert!(run(&mut Command::new("no-such-program")).is_err());
        assert_eq!(last_lines("a\nb\nc", 2), "b\nc");
    }

    #[test]
    fn cargo_does_not_inherit_our_package() {
        assert!(env::var_os("CARGO_PKG_NAME").is_some());
        let command = cargo();
        let removed: Vec<_> =
            command.get_envs().filter(|(_, value)| value.is_none()).map(|(name, _)| name).collect();
        assert!(removed.iter().any(|name| *name == "CARGO_PKG_NAME"));
        assert!(removed.iter().any(|name| *name == "CARGO_MANIFEST_DIR"));
    }
}
