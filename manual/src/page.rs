//! One man page for each command. clap_mangen writes what clap knows; the sections that it does not have are written here.

use std::io;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::Program;

/// System administration commands and daemons (man-pages(7)).
const SECTION: &str = "8";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The pages of a program: the name of each file, and its text.
///
/// # Errors
/// Never: a page is written into memory.
pub fn pages(program: &Program) -> io::Result<Vec<(String, String)>> {
    // The revision that the version of the binary names would change the pages with every commit.
    let mut command = (program.command)().version(VERSION).disable_help_subcommand(true);
    command.build();
    let subs: Vec<Command> = command.get_subcommands().cloned().collect();
    let mut names = vec![program.name.to_owned()];
    names.extend(subs.iter().map(|sub| format!("{}-{}", program.name, sub.get_name())));
    [command].iter().chain(&subs).map(|command| page(program, command, &names)).collect()
}

fn page(program: &Program, command: &Command, names: &[String]) -> io::Result<(String, String)> {
    let man = Man::new(command.clone()).section(SECTION).source(format!("ipa-sidecar {VERSION}"));
    let name = man.get_filename();
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(&mut text)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    let mut roff = Roff::new();
    exits(&mut roff, command);
    roff.control("SH", ["FILES"]);
    for (file, purpose) in program.files {
        entry(&mut roff, file, purpose);
    }
    see_also(&mut roff, names.iter().filter(|other| **other != name.trim_end_matches(".8")));
    roff.to_writer(&mut text)?;
    Ok((name, String::from_utf8_lossy(&text).into_owned()))
}

/// What the end of the help says: a head, and a line for each code.
fn exits(roff: &mut Roff, command: &Command) {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    roff.control("SH", ["EXIT STATUS"]);
    let Some((_, lines)) = help.split_once(":\n") else {
        roff.text([roman(help.trim_start_matches("Exit status: "))]);
        return;
    };
    for (code, meaning) in lines.lines().filter_map(|line| line.trim().split_once("  ")) {
        entry(roff, code, meaning);
    }
}

fn entry(roff: &mut Roff, what: &str, meaning: &str) {
    roff.control("TP", []);
    roff.text([bold(what)]);
    roff.text([roman(meaning)]);
}

fn see_also<'a>(roff: &mut Roff, names: impl Iterator<Item = &'a String>) {
    roff.control("SH", ["SEE ALSO"]);
    let mut words = Vec::new();
    for name in names {
        if !words.is_empty() {
            words.push(roman(", "));
        }
        words.extend([bold(name.as_str()), roman(format!("({SECTION})"))]);
    }
    roff.text(words);
}
