//! A program from PyPI in a virtual environment of its own, kept in the cache.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::cache;

/// Exits with 0 where this Python can make virtual environments and is new enough for Ironic and
/// ironic-python-agent (their Requires-Python).
pub const PYTHON_CHECK: &str = "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))";
/// Exits with 0 where this Python can build an extension in C: ironic-python-agent 9.7.1 needs `netifaces`, which has
/// no wheels for it.
pub const HEADERS_CHECK: &str = "import os, sys, sysconfig; \
    sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()['include'], 'Python.h')))";

/// What to install.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Package {
    /// Its name on PyPI; `name-version` is its directory in the cache.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The Python that it needs, like `3.8`; `None`: the machine's own, which has to be new enough.
    pub python: Option<&'static str>,
    /// What it needs and does not ask for.
    pub besides: &'static [&'static str],
    /// The versions of everything below it that it was tested with, as pip reads constraints.
    pub constraints: &'static str,
}

/// Handed each line of what is being done.
pub(crate) type Step<'a> = &'a mut dyn FnMut(&str);

/// Installs the package into the cache, unless it is there, and gives its directory: `venv` is in it, and what
/// `finish` put there. `progress` gets a line for each step.
///
/// # Errors
/// Without a fitting Python or PyPI; the error holds the command and the last lines that it wrote.
pub(crate) fn install(
    package: Package,
    progress: Step<'_>,
    finish: impl FnOnce(&Path, Step<'_>) -> io::Result<()>,
) -> io::Result<PathBuf> {
    let name = format!("{}-{}", package.name, package.version);
    let directory = cache::directory()?.join(&name);
    if usable(&directory, package.constraints) {
        return Ok(directory);
    }
    let _lock = cache::lock(&name)?;
    if usable(&directory, package.constraints) {
        return Ok(directory); // Another process made it while we waited.
    }
    let start = Instant::now();
    let mut step = |text: &str| progress(&format!("[{:3} s] {text}", start.elapsed().as_secs()));
    make(package, &directory, &mut step)?;
    finish(&directory, &mut step)?;
    fs::write(marker(&directory), package.constraints)?; // Last: without it the rest counts as torn.
    step(&format!("{name} is installed: {} MB", size(&directory)? / 1_000_000));
    Ok(directory)
}

/// The bytes of all files below the directory.
fn size(directory: &Path) -> io::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let found = entry.metadata()?; // Of a link itself.
        sum += match found.is_dir() {
            true => size(&entry.path())?,
            false => found.len(),
        };
    }
    Ok(sum)
}

/// Whether the environment is there whole, was made for the same versions, and its Python still exists.
fn usable(directory: &Path, constraints: &str) -> bool {
    let marker = fs::read_to_string(marker(directory));
    marker.is_ok_and(|text| text == constraints) && directory.join("venv/bin/python").exists()
}

fn marker(directory: &Path) -> PathBuf {
    directory.join("complete")
}

fn make(package: Package, directory: &Path, step: Step<'_>) -> io::Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory).map_err(|e| cache::at(directory, &e))?;
    }
    fs::create_dir_all(directory).map_err(|e| cache::at(directory, &e))?;
    let Package { name, version, .. } = package;
    step(&format!("installing {name} {version} from PyPI into {}", directory.display()));
    let python = match package.python {
        Some(version) => python_of(version)?,
        None => newest_python()?,
    };
    let venv = directory.join("venv");
    run(Command::new(python).args(["-m", "venv"]).arg(&venv), step)?;
    let constraints = directory.join("constraints.txt");
    fs::write(&constraints, package.constraints)?;
    let pip = ["install", "--disable-pip-version-check", "--progress-bar", "off", "--constraint"];
    run(
        Command::new(venv.join("bin/pip"))
            .args(pip)
            .arg(&constraints)
            .arg(format!("{name}=={version}"))
            .args(package.besides),
        step,
    )
}

fn newest_python() -> io::Result<PathBuf> {
    let checked = Command::new("python3").args(["-c", PYTHON_CHECK]).output();
    if !checked.as_ref().is_ok_and(|output| output.status.success()) {
        let text =
            "no python3 of 3.11 or later with the modules venv and ensurepip (Debian: python3, python3-venv)";
        return Err(io::Error::other(text));
    }
    Ok(PathBuf::from("python3"))
}

/// A Python of this version: pyenv's, else the one of that name.
fn python_of(version: &str) -> io::Result<PathBuf> {
    let name = format!("python{version}");
    let root = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
    let root = root.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".pyenv")));
    let versions =
        root.and_then(|root| fs::read_dir(root.join("versions")).ok()).into_iter().flatten().flatten();
    let mut found = versions.map(|entry| entry.path().join("bin").join(&name)).filter(|path| path.exists());
    let python = found.next().unwrap_or_else(|| PathBuf::from(&name));
    let checked = Command::new(&python).args(["-c", "import ensurepip, venv"]).output();
    match checked {
        Ok(output) if output.status.success() => Ok(python),
        _ => {
            Err(io::Error::other(format!("no {name} with the modules venv and ensurepip, also not of pyenv")))
        }
    }
}

/// Runs a command, hands on each line that it writes, and fails with the last of them where it fails.
pub(crate) fn run(command: &mut Command, step: Step<'_>) -> io::Result<()> {
    // One pipe for both, so that the lines keep their order.
    let (reader, writer) = io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let shown = format!("{command:?}");
    let mut child = command.spawn().map_err(|e| io::Error::new(e.kind(), format!("{shown}: {e}")))?;
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
    Err(io::Error::other(format!("{shown} ended with {status}:\n{}", last.join("\n"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_streams_and_its_failure_tells_the_last_lines() {
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; exit 4"]);
        let error = run(&mut command, &mut |line| lines.push(line.to_owned())).unwrap_err().to_string();
        assert_eq!(lines, ["one", "two"]);
        assert!(error.contains("exit status: 4") && error.ends_with("one\ntwo"), "{error}");
        let missing = run(&mut Command::new("no-such-command"), &mut |_| {}).unwrap_err().to_string();
        assert!(missing.contains("no-such-command"), "{missing}");
    }

    #[test]
    fn a_torn_or_other_installation_is_not_used() {
        let directory = std::env::temp_dir().join(format!("venv-install-{}", std::process::id()));
        fs::create_dir_all(directory.join("venv/bin")).unwrap();
        fs::write(directory.join("venv/bin/python"), "").unwrap();
        let usable = || usable(&directory, "these versions");
        assert!(!usable(), "without its marker");
        fs::write(marker(&directory), "other versions").unwrap();
        assert!(!usable(), "with other versions");
        fs::write(marker(&directory), "these versions").unwrap();
        assert!(usable());
        fs::remove_file(directory.join("venv/bin/python")).unwrap();
        assert!(!usable(), "without its Python");
        fs::remove_dir_all(&directory).unwrap();
    }
}
