//! Debian's packages, unpacked and not installed.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use crate::architecture::Architecture;
use crate::cache::{self, at};

/// How old apt's lists for another architecture may be: files that they name go from the archive when newer ones come.
const LISTS_ARE_OLD: Duration = Duration::from_secs(86_400);

/// Debian's archive as apt knows it.
#[derive(Debug)]
pub struct Archive {
    /// Options of apt, each with `-o`.
    options: Vec<String>,
}

impl Archive {
    /// With this machine's lists.
    pub fn here() -> Self {
        // As root apt would drop its rights, and could not write into the cache then.
        Self { options: vec!["APT::Sandbox::User=root".to_owned()] }
    }

    /// For an architecture: this machine's lists, or lists in the cache, so that this machine's apt stays as it is.
    ///
    /// # Errors
    /// Where the lists cannot be fetched.
    pub fn of(architecture: Architecture) -> io::Result<Self> {
        let mut archive = Self::here();
        if architecture.is_here() {
            return Ok(archive);
        }
        let name = architecture.debian();
        let place = cache::directory()?.join(format!("apt-{name}"));
        let (status, fetched) = (place.join("status"), place.join("fetched"));
        for directory in ["state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(place.join(directory)).map_err(|error| at(&place, &error))?;
        }
        for (option, value) in [
            ("APT::Architecture", name),
            ("APT::Architectures", name),
            ("Dir::State", &place.join("state").display().to_string()),
            ("Dir::State::status", &status.display().to_string()),
            ("Dir::Cache", &place.join("cache").display().to_string()),
        ] {
            archive.options.push(format!("{option}={value}"));
        }
        let _lock = cache::lock(&format!("apt-{name}"))?;
        let age = fs::metadata(&fetched).and_then(|found| found.modified());
        let age = age.map(|time| SystemTime::now().duration_since(time).unwrap_or_default());
        if age.is_ok_and(|age| age < LISTS_ARE_OLD) {
            return Ok(archive);
        }
        File::create(&status).map_err(|error| at(&status, &error))?;
        run(archive.apt("apt-get").args(["-q", "update"]))?;
        File::create(&fetched).map_err(|error| at(&fetched, &error))?;
        Ok(archive)
    }

    /// One of apt's programs, with this archive.
    pub fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for option in &self.options {
            command.args(["-o", option]);
        }
        command.env("LC_ALL", "C");
        command
    }

    /// The packages that this one depends on.
    ///
    /// # Errors
    /// Where apt does not know it.
    pub fn depends(&self, package: &str) -> io::Result<Vec<String>> {
        let output = run(self.apt("apt-cache").args(["depends", package]))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let names = text.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
        Ok(names.map(str::to_owned).collect())
    }

    /// The version that apt would install; `None` where it knows none.
    pub fn candidate(&self, package: &str) -> Option<String> {
        let output = run(self.apt("apt-cache").args(["policy", package])).ok()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.lines().find_map(|line| line.trim().strip_prefix("Candidate: "))?;
        (version != "(none)").then(|| version.to_owned())
    }

    /// Fetches packages and unpacks them into `root`. They are unpacked beside it and renamed after `finish`, so that what
    /// is there is whole.
    ///
    /// # Errors
    /// Where apt has no such package, or it cannot be unpacked.
    pub fn unpack(
        &self,
        packages: &[String],
        root: &Path,
        finish: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<()> {
        let unpacked = root.with_extension("part");
        if unpacked.exists() {
            fs::remove_dir_all(&unpacked)?;
        }
        let files = unpacked.join("packages");
        fs::create_dir_all(&files).map_err(|error| at(&files, &error))?;
        run(self.apt("apt-get").args(["-q", "download"]).args(packages).current_dir(&files))?;
        for file in fs::read_dir(&files)? {
            run(Command::new("dpkg-deb").arg("-x").arg(file?.path()).arg(&unpacked))?;
        }
        fs::remove_dir_all(&files)?;
        finish(&unpacked)?;
        fs::rename(&unpacked, root)
    }
}

/// Runs a program; an error where it does not end well, with what it said.
pub(crate) fn run(command: &mut Command) -> io::Result<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output =
        command.output().map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{name} ended with {}: {}", output.status, said.trim())))
}
