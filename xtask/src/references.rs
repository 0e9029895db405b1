//! Tests that documents name: `PROGRAM::PATH`, where PROGRAM is a test program of the daemon or of the fleet, or a package's
//! name, and PATH is what `cargo test` calls the test.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use xtask::workspace::{self, FLEET, FLEET_FOLDER, FOLDER, PACKAGE};

/// A test by its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// The test program, or for unit tests the folder of their package, with underscores.
    pub program: String,
    /// As `cargo test` calls it.
    pub test: String,
}

impl Reference {
    /// Reads `PROGRAM::PATH`; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let is_name = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        let (program, test) = text.split_once("::")?;
        let sound = is_name(program) && test.split("::").all(is_name);
        sound.then(|| Self { program: program.to_owned(), test: test.to_owned() })
    }

    /// The package, and the words for cargo that choose the program.
    pub fn target(&self) -> (String, Vec<&str>) {
        match self.folder() {
            Some(folder) => (workspace::package_in(&folder).to_owned(), vec!["--lib"]),
            None => (workspace::package_in(self.program_folder()).to_owned(), vec!["--test", &self.program]),
        }
    }

    /// The folder of the package whose unit test this is.
    fn folder(&self) -> Option<String> {
        let package = self.program.replace('_', "-");
        let folder = match package.as_str() {
            PACKAGE => FOLDER.to_owned(),
            FLEET => FLEET_FOLDER.to_owned(),
            _ => package,
        };
        workspace::root().join(&folder).join("src").is_dir().then_some(folder)
    }

    /// The folder of the package whose test program this is.
    fn program_folder(&self) -> &'static str {
        let is_fleets = workspace::root().join(FLEET_FOLDER).join("tests").join(&self.program).is_dir();
        if is_fleets { FLEET_FOLDER } else { FOLDER }
    }

    /// Finds the function in the source.
    ///
    /// # Errors
    /// Where there is no such test.
    pub fn check(&self) -> anyhow::Result<()> {
        let mut modules: Vec<&str> = self.test.split("::").collect();
        let name = modules.pop().unwrap_or_default();
        modules.retain(|module| *module != "tests" && *module != "properties");
        for file in self.sources()? {
            let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            if is_in(&text, name) && modules.iter().all(|module| is_module(&file, module)) {
                return Ok(());
            }
        }
        bail!("there is no test {}::{}", self.program, self.test)
    }

    fn sources(&self) -> anyhow::Result<Vec<PathBuf>> {
        if let Some(folder) = self.folder() {
            return workspace::files(&Path::new(&folder).join("src"), &["rs"]);
        }
        workspace::files(&Path::new(self.program_folder()).join("tests").join(&self.program), &["rs"])
    }
}

/// Whether a test function of this name is in a file: with `#[test]` or its sister for the runtime not far above it, or in a
/// `proptest!`. One that is ignored shows nothing.
fn is_in(text: &str, name: &str) -> bool {
    let head = format!("fn {name}(");
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().enumerate().any(|(at, line)| {
        let above = lines.get(at.saturating_sub(4)..at).unwrap_or_default();
        line.trim_start().trim_start_matches("async ").starts_with(&head)
            && above.iter().map(|line| line.trim()).any(is_mark)
            && !above.iter().any(|line| line.trim_start().starts_with("#[ignore"))
    })
}

fn is_mark(line: &str) -> bool {
    line == "#[test]" || line == "#[tokio::test]" || line.starts_with("#[tokio::test(")
}

/// `judge_tests.rs` holds the module `judge`'s tests; `judge/mod.rs` and `judge/tests/properties.rs` as well.
fn is_module(file: &Path, module: &str) -> bool {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let mut above = file.ancestors().skip(1).filter_map(Path::file_name);
    stem.strip_suffix("_tests").unwrap_or(&stem) == module || above.any(|directory| directory == module)
}

/// The cells of each row of the tables in a document, without heads and rules.
pub fn rows(document: &str) -> Vec<Vec<String>> {
    let lines: Vec<&str> = document.lines().collect();
    let is_row = |line: &str| line.starts_with("| ");
    let wanted = lines
        .iter()
        .enumerate()
        .filter(|(at, line)| is_row(line) && lines.get(at + 1).is_none_or(|next| !next.starts_with("|--")));
    wanted
        .map(|(_, line)| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

/// The tests that a text names between backquotes.
pub fn named(text: &str) -> Vec<Reference> {
    text.split('`').skip(1).step_by(2).filter_map(Reference::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_and_other_code_is_not() {
        let found = named("see `faults::dns::servfail`, `cargo lab bench` and `ipa_sidecar::a::tests::b`");
        let names: Vec<_> = found.iter().map(|found| (found.program.as_str(), found.test.as_str())).collect();
        assert_eq!(names, [("faults", "dns::servfail"), ("ipa_sidecar", "a::tests::b")]);
        assert_eq!(found[0].target(), (PACKAGE.to_owned(), vec!["--test", "faults"]));
        assert_eq!(found[1].target(), (PACKAGE.to_owned(), vec!["--lib"]));
    }

    #[test]
    fn a_test_is_distinguished_from_another_function() {
        let text = "fn helper() {}\n#[test]\nfn real() {\n}\n\n\n\n#[test]\n#[ignore = \"long\"]\nfn real_not() {}\n";
        assert!(!is_in(text, "real_not"), "it does not run");
        assert!(is_in("#[tokio::test(start_paused = true)]\nasync fn real() {", "real"));
        assert!(is_in(text, "real") && !is_in(text, "helper") && !is_in(text, "rea"));
        assert!(is_module(Path::new("src/agent_url/judge_tests.rs"), "judge"));
        assert!(is_module(Path::new("src/advertise/tests/properties.rs"), "advertise"));
        assert!(!is_module(Path::new("tests/faults/dns.rs"), "disk"));
    }

    #[test]
    fn tables_give_their_rows() {
        let text = "words\n| a | b |\n|---|---|\n| 1 | `x::y` |\n| 2 | |\n";
        assert_eq!(
            rows(text),
            [vec!["1".to_owned(), "`x::y`".to_owned()], vec!["2".to_owned(), String::new()]]
        );
    }
}
