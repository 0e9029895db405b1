//! Ironic from PyPI in a virtual environment of its own, kept in the cache with an empty database beside it.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::{Options, cache, config};

/// The version from PyPI.
pub const VERSION: &str = "39.0.0";
/// The versions of everything below it that it was tested with.
const CONSTRAINTS: &str = include_str!("constraints.txt");
/// Exits with 0 where this Python can make virtual environments and is new enough for Ironic (its Requires-Python).
pub const PYTHON_CHECK: &str = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))";

/// An installed Ironic.
#[derive(Clone, Debug)]
pub struct Installation {
    directory: PathBuf,
}

impl Installation {
    pub(super) fn ironic(&self) -> PathBuf {
        self.directory.join("venv/bin/ironic")
    }

    /// An empty database with Ironic's schema: making one takes two seconds, copying it none.
    pub(super) fn database(&self) -> PathBuf {
        self.directory.join("template/ironic.sqlite")
    }

    /// Whether the environment is there whole, was made for the same versions, and its Python still exists.
    fn usable(&self) -> bool {
        let marker = fs::read_to_string(self.marker());
        marker.is_ok_and(|text| text == CONSTRAINTS) && self.directory.join("venv/bin/python").exists()
    }

    fn marker(&self) -> PathBuf {
        self.directory.join("complete")
    }
}

/// Installs Ironic into the cache, unless it is there. `progress` gets a line for each step.
///
/// # Errors
/// Without a fitting Python or PyPI; the error holds the command and the last lines that it wrote.
pub(super) fn install(progress: &mut dyn FnMut(&str)) -> io::Result<Installation> {
    let name = format!("ironic-{VERSION}");
    let directory = cache::directory()?.join(&name);
    let installation = Installation { directory };
    if installation.usable() {
        return Ok(installation);
    }
    let _lock = cache::lock(&name)?;
    if installation.usable() {
        return Ok(installation); // Another process made it while we waited.
    }
    let start = Instant::now();
    let mut step = |text: &str| progress(&format!("[{:3} s] {text}", start.elapsed().as_secs()));
    make(&installation.directory, &mut step)?;
    fs::write(installation.marker(), CONSTRAINTS)?; // Last: without it the rest counts as torn.
    step("Ironic is installed");
    Ok(installation)
}

fn make(directory: &Path, step: &mut dyn FnMut(&str)) -> io::Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).map_err(|e| cache::at(directory, &e))?;
    }
    let template = directory.join("template");
    fs::create_dir_all(&template).map_err(|e| cache::at(&template, &e))?;
    step(&format!(
        "installing Ironic {VERSION} from PyPI into {}",
        directory.display()
    ));
    let checked = Command::new("python3").args(["-c", PYTHON_CHECK]).output();
    if !checked.as_ref().is_ok_and(|output| output.status.success()) {
        let text =
            "no python3 of 3.11 or later with the modules venv and ensurepip (Debian: python3, python3-venv)";
        return Err(io::Error::other(text));
    }
    let venv = directory.join("venv");
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv), step)?;
    let constraints = directory.join("constraints.txt");
    fs::write(&constraints, CONSTRAINTS)?;
    let pip = [
        "install",
        "--disable-pip-version-check",
        "--progress-bar",
        "off",
        "--constraint",
    ];
    run(
        Command::new(venv.join("bin/pip"))
            .args(pip)
            .arg(&constraints)
            .arg(format!("ironic=={VERSION}")),
        step,
    )?;
    step("making an empty database");
    let file = template.join("ironic.conf");
    fs::write(&file, config::text(&Options::default(), 1, &template))?;
    let mut dbsync = Command::new(venv.join("bin/ironic-dbsync"));
    run(dbsync.arg("--config-file").arg(&file).arg("create_schema"), step)
}

/// Runs a command, hands on each line that it writes, and fails with the last of them where it fails.
fn run(command: &mut Command, step: &mut dyn FnMut(&str)) -> io::Result<()> {
    // One pipe for both, so that the lines keep their order.
    let (reader, writer) = io::pipe()?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let shown = format!("{command:?}");
    let mut child = command
        .spawn()
        .map_err(|e| io::Error::new(e.kind(), format!("{shown}: {e}")))?;
    command.stdout(Stdio::null()).stderr(Stdio::null()); // Closes our ends of the pipe.
    let mut last = std::collections::VecDeque::new();
    for line in BufReader::new(reader).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).trim_end().to_owned();
        if !line.is_empty() {
            step(&line.chars().take(150).collect::<String>());
        }
        last.push_back(line);
        if last.len() > 20 {
            last.pop_front();
        }
    }
    let status = child.wait()?;
    if status.success() {
        return Ok(());
    }
    let last: Vec<_> = last.into();
    Err(io::Error::other(format!(
        "{shown} ended with {status}:\n{}",
        last.join("\n")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_streams_and_its_failure_tells_the_last_lines() {
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; exit 4"]);
        let error = run(&mut command, &mut |line| lines.push(line.to_owned()))
            .unwrap_err()
            .to_string();
        assert_eq!(lines, ["one", "two"]);
        assert!(
            error.contains("exit status: 4") && error.ends_with("one\ntwo"),
            "{error}"
        );
        let missing = run(&mut Command::new("no-such-command"), &mut |_| {})
            .unwrap_err()
            .to_string();
        assert!(missing.contains("no-such-command"), "{missing}");
    }

    #[test]
    fn a_torn_or_other_installation_is_not_used() {
        let directory = std::env::temp_dir().join(format!("ironic-install-{}", std::process::id()));
        fs::create_dir_all(directory.join("venv/bin")).unwrap();
        let installation = Installation {
            directory: directory.clone(),
        };
        fs::write(directory.join("venv/bin/python"), "").unwrap();
        assert!(!installation.usable(), "without its marker");
        fs::write(installation.marker(), "other versions").unwrap();
        assert!(!installation.usable(), "with other versions");
        fs::write(installation.marker(), CONSTRAINTS).unwrap();
        assert!(installation.usable());
        fs::remove_file(directory.join("venv/bin/python")).unwrap();
        assert!(!installation.usable(), "without its Python");
        fs::remove_dir_all(directory).unwrap();
    }
}
