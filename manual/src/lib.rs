//! Man pages and shell completions of both programs, made from their command lines. They are files of the release, and
//! no part of a program that is released.

mod page;

use std::fs;
use std::io;
use std::path::Path;

use clap::Command;
use clap_complete::{Shell, generate_to};

/// The shells that get completions.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// A program, its command line, and what its man pages say besides.
pub struct Program {
    /// As it is installed.
    pub name: &'static str,
    /// As clap has it.
    pub command: fn() -> Command,
    /// Files that it reads and writes, each with what it is for.
    pub files: &'static [(&'static str, &'static str)],
}

/// Both programs.
pub const PROGRAMS: [Program; 2] = [
    Program {
        name: "ipa-sidecar",
        command: ipa_sidecar::inside::command,
        files: &[
            ("/etc/ipa-sidecar.env", "Variables of the systemd unit, as IPA_SIDECAR_MODE=guard."),
            (
                "zz-ipa-sidecar.conf",
                "What ironic-python-agent gets, in the directory that its unit reads, as /etc/ironic-python-agent.d.",
            ),
            ("/run/ipa-sidecar/status.sock", "Where the status command asks the daemon."),
            ("/run/ipa-sidecar/kept.json", "What a restarted daemon has to know. It holds no token."),
        ],
    },
    Program {
        name: "ipa-fleet",
        command: ipa_fleet::inside::command,
        files: &[
            ("/etc/ipa-fleet.env", "Variables of the systemd units, as IPA_FLEET_IRONIC_URL."),
            ("/etc/ipa-fleet/password", "Password for Ironic, which systemd hands to the service."),
        ],
    },
];

/// Writes `PROGRAM/man/*.8` and `PROGRAM/completions/*` for both programs into a directory.
///
/// # Errors
/// Where a file cannot be written.
pub fn write(directory: &Path) -> io::Result<()> {
    for program in PROGRAMS {
        let own = directory.join(program.name);
        let man = own.join("man");
        fs::create_dir_all(&man)?;
        for (name, text) in page::pages(&program)? {
            fs::write(man.join(name), text)?;
        }
        let completions = own.join("completions");
        fs::create_dir_all(&completions)?;
        for shell in SHELLS {
            generate_to(shell, &mut shown(&(program.command)()), program.name, &completions)?;
        }
    }
    Ok(())
}

/// A command line without its hidden flags, which are there for an error that names what replaced them. The generators
/// would offer them.
fn shown(command: &Command) -> Command {
    let mut shown = Command::new(command.get_name().to_owned());
    if let Some(about) = command.get_about() {
        shown = shown.about(about.clone());
    }
    if let Some(version) = command.get_version() {
        shown = shown.version(version.to_owned());
    }
    shown = shown.args(command.get_arguments().filter(|flag| !flag.is_hide_set()).cloned());
    shown.subcommands(command.get_subcommands().map(self::shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of the flags that a command shows.
    fn flags(command: &Command) -> Vec<String> {
        let shown = command.get_arguments().filter(|flag| !flag.is_hide_set());
        shown.filter_map(|flag| flag.get_long().map(|name| format!("--{name}"))).collect()
    }

    #[test]
    fn every_command_and_every_flag_is_in_each_completion() {
        for program in PROGRAMS {
            for shell in SHELLS {
                let mut text = Vec::new();
                clap_complete::generate(shell, &mut shown(&(program.command)()), program.name, &mut text);
                let text = String::from_utf8(text).unwrap();
                for command in (program.command)().get_subcommands() {
                    assert!(text.contains(command.get_name()), "{shell}: {}", command.get_name());
                    for flag in flags(command) {
                        let flag = if shell == Shell::Fish { flag.replacen("--", "-l ", 1) } else { flag };
                        assert!(text.contains(&flag), "{shell}: {flag}");
                    }
                    for hidden in command.get_arguments().filter(|flag| flag.is_hide_set()) {
                        let hidden = hidden.get_long().unwrap();
                        assert!(!text.contains(hidden), "{shell} offers {hidden}, which is gone");
                    }
                }
            }
        }
    }

    #[test]
    fn every_command_has_a_page_with_its_flags_variables_and_exit_codes() {
        for program in PROGRAMS {
            let pages = page::pages(&program).unwrap();
            let mut command = (program.command)();
            command.build();
            assert_eq!(
                pages.len(),
                command.get_subcommands().filter(|sub| sub.get_name() != "help").count() + 1
            );
            for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
                let name = format!("{}-{}.8", program.name, sub.get_name());
                let text = &pages.iter().find(|(file, _)| *file == name).unwrap().1;
                let text = text.replace("\\-", "-");
                for flag in flags(sub) {
                    assert!(text.contains(&flag), "{name}: {flag}");
                }
                for variable in sub.get_arguments().filter(|flag| !flag.is_hide_set()) {
                    let Some(variable) = variable.get_env() else { continue };
                    assert!(text.contains(variable.to_str().unwrap()), "{name}: {variable:?}");
                }
                let exits = text.split(".SH \"EXIT STATUS\"").nth(1).unwrap();
                let codes = sub.get_after_help().unwrap().to_string();
                for line in codes.lines().skip(1) {
                    let code = line.split_whitespace().next().unwrap();
                    assert!(exits.contains(&format!(".TP\n\\fB{code}\\fR\n")), "{name}: {code} in {exits}");
                }
            }
        }
    }
    #[test]
    fn every_help_fits_80_columns_and_ends_with_the_exit_codes() {
        for program in PROGRAMS {
            let mut command = (program.command)();
            command.build();
            let top = command.render_long_help().to_string();
            let subs: Vec<_> = command.get_subcommands_mut().filter(|sub| sub.get_name() != "help").collect();
            let mut helps = vec![top];
            for sub in subs {
                let help = sub.render_long_help().to_string();
                let exits = help.split("\nExit status:\n").nth(1).unwrap();
                assert!(exits.lines().any(|line| line.starts_with("   0  ")), "{help}");
                assert!(exits.lines().any(|line| line.starts_with("  64  ")), "{help}");
                helps.extend([help, sub.render_help().to_string()]);
            }
            for line in helps.iter().flat_map(|help| help.lines()) {
                assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
            }
        }
    }
}
