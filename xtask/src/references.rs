//! Tests that documents name: `PROGRAM::PATH`, where PROGRAM is a test program in `agent-user/tests` or a crate, and PATH
//! is what `cargo test` calls the test.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// A test by its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// The test program, or the crate with underscores for its unit tests.
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
    pub fn target(&self) -> (&'static str, Vec<&str>) {
        match self.program.as_str() {
            "agent_user" => ("agent-user", vec!["--lib"]),
            "agent_ebpf" => ("agent-ebpf", vec!["--lib"]),
            program => ("agent-user", vec!["--test", program]),
        }
    }

    /// Finds the function in the source.
    ///
    /// # Errors
    /// Where there is no such test.
    pub fn check(&self) -> anyhow::Result<()> {
        let mut modules: Vec<&str> = self.test.split("::").collect();
        let name = modules.pop().unwrap_or_default();
        let inner = modules.iter().rev().find(|module| **module != "tests" && **module != "properties");
        for file in self.sources()? {
            let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
            if is_in(&text, name) && inner.is_none_or(|module| is_module(&file, module)) {
                return Ok(());
            }
        }
        bail!("there is no test {}::{}", self.program, self.test)
    }

    fn sources(&self) -> anyhow::Result<Vec<PathBuf>> {
        let tests = Path::new("agent-user/tests");
        let mut found = Vec::new();
        match self.program.as_str() {
            "agent_user" => collect(Path::new("agent-user/src"), &mut found)?,
            "agent_ebpf" => collect(Path::new("agent-ebpf/src"), &mut found)?,
            program => {
                let file = tests.join(format!("{program}.rs"));
                if file.is_file() {
                    found.push(file);
                } else {
                    collect(&tests.join(program), &mut found)?;
                }
            }
        }
        Ok(found)
    }
}

/// Whether a test function of this name is in a file: with `#[test]` not far above it, or in a `proptest!`.
fn is_in(text: &str, name: &str) -> bool {
    let head = format!("fn {name}(");
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().enumerate().any(|(at, line)| {
        let above = lines.get(at.saturating_sub(4)..at).unwrap_or_default();
        line.trim_start().starts_with(&head) && above.iter().any(|line| line.trim() == "#[test]")
    })
}

/// `judge_tests.rs` holds the module `judge`'s tests; `judge/mod.rs` and `judge/tests/properties.rs` as well.
fn is_module(file: &Path, module: &str) -> bool {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let mut above = file.ancestors().skip(1).filter_map(Path::file_name);
    stem.strip_suffix("_tests").unwrap_or(&stem) == module || above.any(|directory| directory == module)
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, found)?;
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    Ok(())
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
        let found = named("see `faults::dns::servfail`, `cargo xtask bench` and `agent_user::a::tests::b`");
        let names: Vec<_> = found.iter().map(|found| (found.program.as_str(), found.test.as_str())).collect();
        assert_eq!(names, [("faults", "dns::servfail"), ("agent_user", "a::tests::b")]);
        assert_eq!(found[0].target(), ("agent-user", vec!["--test", "faults"]));
        assert_eq!(found[1].target(), ("agent-user", vec!["--lib"]));
    }

    #[test]
    fn a_test_is_told_from_another_function() {
        let text = "fn helper() {}\n#[test]\n#[ignore]\nfn real() {\n}\nfn real_not() {}\n";
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
