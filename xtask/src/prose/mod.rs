//! README and docs stay plain and true: short sentences, none of the banned turns, links that resolve, and no flag,
//! metric, command or exit code that the programs do not have. The banned turns are looked for in all sources too.

mod links;
mod markdown;
mod names;
mod sentences;
mod turns;

use std::path::Path;

use anyhow::{Context, bail};
use xtask::workspace;

use sentences::Statistics;

/// A document: its path from the root, and its text.
struct Document {
    path: String,
    text: String,
}

/// Prints the statistics and every finding; gives a line on what was found.
///
/// # Errors
/// Where something was found.
pub fn run() -> anyhow::Result<String> {
    let documents = documents()?;
    let (readme, docs): (Vec<_>, Vec<_>) = documents.iter().partition(|one| one.path == "README.md");
    let (readme, docs) = (statistics(&readme), statistics(&docs));
    println!("README: {readme}\ndocs: {docs}");
    let mut findings = Vec::new();
    for one in &documents {
        findings.extend(sentences::check(one));
    }
    findings.extend(turns::check(&documents)?);
    findings.extend(links::check(&documents)?);
    findings.extend(names::check(&documents)?);
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} findings in README, docs and sources", findings.len());
    }
    Ok(format!("README {:.1} and docs {:.1} words a sentence", readme.mean(), docs.mean()))
}

/// README.md and what is in docs.
fn documents() -> anyhow::Result<Vec<Document>> {
    let root = workspace::root();
    let mut files = vec![root.join("README.md")];
    files.extend(workspace::files(&root.join("docs"), &["md"])?);
    files.iter().map(|file| read(&root, file)).collect()
}

fn read(root: &Path, file: &Path) -> anyhow::Result<Document> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    Ok(Document { path: file.strip_prefix(root)?.display().to_string(), text })
}

fn statistics(documents: &[&Document]) -> Statistics {
    documents.iter().flat_map(|one| sentences::all(&one.text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readme_and_docs_are_read() {
        let documents = documents().unwrap();
        assert!(documents.len() > 5 && documents[0].path == "README.md");
    }
}
