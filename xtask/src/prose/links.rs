//! Links of README and docs: the file is there, and so is the heading.

use std::collections::BTreeSet;
use std::path::Path;

use xtask::workspace;

use super::Document;

/// Every link to a file or a heading that is missing. Links to other sites are not followed.
pub fn check(documents: &[Document]) -> anyhow::Result<Vec<String>> {
    let root = workspace::root();
    let mut findings = Vec::new();
    for one in documents {
        let folder = root.join(&one.path).parent().map(Path::to_owned).unwrap_or_default();
        for (line, target) in targets(&one.text) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { root.join(&one.path) } else { folder.join(file) };
            let found = match heading.is_empty() {
                true => path.exists(),
                false => std::fs::read_to_string(&path).is_ok_and(|text| anchors(&text).contains(heading)),
            };
            if !found {
                findings.push(format!("{}:{line}: the link {target} leads nowhere", one.path));
            }
        }
    }
    Ok(findings)
}

/// The targets of a document's links and pictures, with their lines; not those on other sites.
fn targets(text: &str) -> Vec<(usize, &str)> {
    let (mut found, mut fenced) = (Vec::new(), false);
    // A link's text may go over the end of a line, its target does not.
    for (at, line) in text.lines().enumerate() {
        fenced ^= line.trim().starts_with("```");
        if !fenced {
            let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            found.extend(targets.filter(|target| !target.contains("://")).map(|target| (at + 1, target)));
        }
    }
    found
}

/// The anchors of a document's headings, as GitHub makes them: small letters, digits, `-` and `_`; a blank is a `-`.
fn anchors(text: &str) -> BTreeSet<String> {
    let (mut found, mut fenced) = (BTreeSet::new(), false);
    for line in text.lines() {
        fenced ^= line.trim().starts_with("```");
        if let Some(heading) = line.strip_prefix('#').filter(|_| !fenced) {
            let heading = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
            found.insert(heading.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_files_and_headings_are_read() {
        let text = "[a](b.md#c-d) ![p](x.png) [e](https://x.example/y)\n```\n[no](no)\n```\n[f](#g)\n";
        assert_eq!(targets(text), [(1, "b.md#c-d"), (1, "x.png"), (5, "#g")]);
        let anchors = anchors("# IPA in a container (CoreOS)\n```\n# no\n```\n## `run`: all\n");
        assert_eq!(anchors.into_iter().collect::<Vec<_>>(), ["ipa-in-a-container-coreos", "run-all"]);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let text = "[a](docs/metrics.md) [b](docs/missing.md)\n[c](docs/metrics.md#missing)\n".to_owned();
        let found = check(&[Document { path: "README.md".into(), text }]).unwrap();
        assert!(found.len() == 2 && found[0].starts_with("README.md:1:"), "{found:?}");
    }
}
