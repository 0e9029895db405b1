//! Programs that a command needs and does not install: they are large.

use std::process::{Command, Stdio};

use xtask::Missing;

/// Fails unless each of them runs; `packages` brings them on Debian.
///
/// # Errors
/// [`Missing`], with the command that would help.
pub fn ensure(what: &str, programs: &[&str], packages: &str) -> anyhow::Result<()> {
    for program in programs {
        let mut command = Command::new(program);
        let found = command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            let programs = programs.join(" and ");
            return Err(Missing(format!(
                "{what} need {programs}; on Debian, as root: apt-get install --no-install-recommends {packages}"
            ))
            .into());
        }
    }
    Ok(())
}
