//! Running other programs: what is run is shown, what it writes is seen at once, a failure is an error.

use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
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
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    println!("+ {}", shown(command));
    let status = command.stdin(Stdio::null()).status().with_context(|| shown(command))?;
    if status.success() {
        return Ok(());
    }
    bail!("{} ended with {status}", shown(command))
}

/// As [`run`]; each line of its standard output is also handed to `see`.
pub fn run_seen(command: &mut Command, mut see: impl FnMut(&str)) -> anyhow::Result<()> {
    println!("+ {}", shown(command));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| shown(command))?;
    let mut output = BufReader::new(child.stdout.take().context("no pipe to its output")?);
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line)? > 0 {
        std::io::stdout().write_all(&line)?;
        see(String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
    let status = child.wait()?;
    if status.success() {
        return Ok(());
    }
    bail!("{} ended with {status}", shown(command))
}

/// Runs a cargo build quietly: a line now and then says how far it is, and what it wrote is shown where it fails.
pub fn build_quietly(command: &mut Command) -> anyhow::Result<()> {
    const PACE: Duration = Duration::from_secs(20);
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| shown(command))?;
    let (started, mut told, mut crates, mut written) = (Instant::now(), Instant::now(), 0, String::new());
    for line in BufReader::new(child.stderr.take().context("no pipe to its output")?).lines() {
        let line = line?;
        crates += usize::from(line.trim_start().starts_with("Compiling"));
        if told.elapsed() >= PACE {
            eprintln!("  building: {crates} crates so far, {} s", started.elapsed().as_secs());
            told = Instant::now();
        }
        written.push_str(&line);
        written.push('\n');
    }
    let status = child.wait()?;
    if status.success() {
        return Ok(());
    }
    bail!("{} ended with {status}\n{written}", shown(command))
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
