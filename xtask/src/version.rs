//! One version everywhere: in the manifests, the lock files, the changelog, and where documents name files of a release.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail, ensure};
use xtask::dist::VERSION;
use xtask::{process, workspace};

const CHANGELOG: &str = "CHANGELOG.md";
const UNRELEASED: &str = "## [Unreleased]";

/// Checks that they agree; the note is the version.
///
/// # Errors
/// The first that does not, where it stands, and what would be right.
pub fn check() -> anyhow::Result<String> {
    in_changelog(&read(Path::new(CHANGELOG))?, VERSION)?;
    in_manifest(&read(Path::new("Cargo.toml"))?, VERSION)?;
    for lock in ["Cargo.lock", "fuzz/Cargo.lock"] {
        in_lock(&read(Path::new(lock))?, VERSION).with_context(|| lock.to_owned())?;
    }
    let mut documents = workspace::files(Path::new("docs"), &["md"])?;
    documents.extend(workspace::files(Path::new("ramdisk"), &["rst"])?);
    documents.push("README.md".into());
    for file in documents {
        in_document(&read(&file)?, VERSION).with_context(|| file.display().to_string())?;
    }
    Ok(format!("version {VERSION}"))
}

/// Checks what a release needs besides: a clean checkout, the tag, and nothing in the changelog that has no version.
///
/// # Errors
/// As [`check`].
pub fn check_tag() -> anyhow::Result<()> {
    let git = |words: &[&str]| process::output(Command::new("git").args(words));
    let changed = git(&["status", "--porcelain"])?;
    ensure!(changed.is_empty(), "the checkout has changes that no commit has:\n{changed}");
    nothing_unreleased(&read(Path::new(CHANGELOG))?)?;
    let tags = git(&["tag", "--points-at", "HEAD"])?;
    is_tagged(&tags, VERSION)
}

fn read(file: &Path) -> anyhow::Result<String> {
    fs::read_to_string(file).with_context(|| file.display().to_string())
}

/// The heads of the releases, as Keep a Changelog has them: `## [1.2.3] - 2026-01-31`, newest first.
fn in_changelog(text: &str, version: &str) -> anyhow::Result<()> {
    let heads = text.lines().filter(|line| line.starts_with("## [") && *line != UNRELEASED);
    let Some(head) = heads.into_iter().next() else {
        bail!("{CHANGELOG} has no release: wanted `## [{version}] - YEAR-MONTH-DAY`");
    };
    let (newest, date) = head.trim_start_matches("## [").split_once("] - ").unwrap_or((head, ""));
    ensure!(
        newest == version,
        "{CHANGELOG}: the newest release is {newest}, and Cargo.toml has version {version}: \
         wanted `## [{version}] - YEAR-MONTH-DAY` above it, or version = \"{newest}\" in Cargo.toml"
    );
    let is_date = date.len() == 10
        && date.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    ensure!(is_date, "{CHANGELOG}: {head:?} has no date: wanted `## [{version}] - YEAR-MONTH-DAY`");
    Ok(())
}

fn nothing_unreleased(text: &str) -> anyhow::Result<()> {
    let behind = text.split_once(UNRELEASED).map_or("", |(_, behind)| behind);
    let entry =
        behind.lines().take_while(|line| !line.starts_with("## [")).find(|line| line.starts_with("- "));
    match entry {
        Some(entry) => bail!("{CHANGELOG}: {entry:?} stands under Unreleased: move it below a version"),
        None => Ok(()),
    }
}

fn is_tagged(tags: &str, version: &str) -> anyhow::Result<()> {
    let wanted = format!("v{version}");
    if tags.lines().any(|tag| tag == wanted) {
        return Ok(());
    }
    let there = if tags.is_empty() { "none".to_owned() } else { tags.replace('\n', ", ") };
    bail!(
        "the commit has the tags: {there}; wanted: {wanted}. `git tag -a {wanted}` sets it, --untagged tries without"
    )
}

/// A published package names the version of the one that it needs.
fn in_manifest(text: &str, version: &str) -> anyhow::Result<()> {
    for line in text.lines().filter(|line| line.contains("path = \"")) {
        let named = line.split("version = \"").nth(1).and_then(|rest| rest.split('"').next());
        ensure!(
            named.is_none_or(|named| named == version),
            "Cargo.toml: `{line}`: wanted version = \"{version}\", as in [workspace.package]"
        );
    }
    Ok(())
}

/// Packages of a checkout have no source. The fuzz targets' own has no version.
fn in_lock(text: &str, version: &str) -> anyhow::Result<()> {
    for package in text.split("[[package]]").skip(1).filter(|package| !package.contains("\nsource = ")) {
        let value = |key: &str| {
            let rest = package.split(&format!("\n{key} = \"")).nth(1)?;
            rest.split('"').next()
        };
        let (name, locked) = (value("name").unwrap_or_default(), value("version").unwrap_or_default());
        ensure!(
            locked == version || locked == "0.0.0",
            "{name} has version {locked}: wanted {version}; `cargo metadata` writes it"
        );
    }
    Ok(())
}

/// `ipa-sidecar-0.1.0-x86_64`, `ipa-fleet_0.1.0-1_amd64.deb` and the like.
fn in_document(text: &str, version: &str) -> anyhow::Result<()> {
    for start in ["ipa-sidecar-", "ipa-sidecar_", "ipa-fleet-", "ipa-fleet_"] {
        for rest in text.split(start).skip(1) {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            let named = rest.get(..end).unwrap_or_default();
            let is_version = named.matches('.').count() == 2 && !named.ends_with('.');
            ensure!(
                !is_version || named == version,
                "it names {start}{named}: wanted {start}{version}, the version in Cargo.toml"
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(result: anyhow::Result<()>) -> String {
        format!("{:#}", result.unwrap_err())
    }

    #[test]
    fn all_of_this_checkout_agree() {
        std::env::set_current_dir(workspace::root()).unwrap();
        assert_eq!(check().unwrap(), format!("version {VERSION}"));
    }

    #[test]
    fn the_changelog_has_the_version_and_a_date() {
        let good = "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2026-11-27\n\n## [0.1.0] - 2026-11-22\n";
        assert!(in_changelog(good, "0.2.0").is_ok());
        let other = error(in_changelog(good, "0.3.0"));
        for part in ["CHANGELOG.md", "0.2.0", "0.3.0", "`## [0.3.0] - YEAR-MONTH-DAY`"] {
            assert!(other.contains(part), "{part}: {other}");
        }
        assert!(error(in_changelog("## [0.2.0]\n", "0.2.0")).contains("0.2.0"));
        assert!(error(in_changelog("## [0.2.0] - soon\n", "0.2.0")).contains("no date"));
        assert!(error(in_changelog("# Changelog\n", "0.2.0")).contains("no release"));
        assert!(nothing_unreleased(good).is_ok());
        let left = "## [Unreleased]\n\n### Added\n\n- A thing.\n\n## [0.2.0] - 2026-11-27\n\n- Old.\n";
        assert!(error(nothing_unreleased(left)).contains("\"- A thing.\""));
    }

    #[test]
    fn the_tag_has_the_version() {
        assert!(is_tagged("other\nv0.2.0", "0.2.0").is_ok());
        let wrong = error(is_tagged("v0.1.0", "0.2.0"));
        assert!(wrong.contains("v0.1.0; wanted: v0.2.0"), "{wrong}");
        assert!(error(is_tagged("", "0.2.0")).contains("none; wanted: v0.2.0"));
    }

    #[test]
    fn manifests_locks_and_documents_have_the_version() {
        let dependency = "fib = { path = \"fib\", version = \"0.1.0\" }\nserde = \"1\"\n";
        assert!(
            in_manifest(dependency, "0.1.0").is_ok() && in_manifest("a = { path = \"a\" }", "0.1.0").is_ok()
        );
        assert!(error(in_manifest(dependency, "0.2.0")).contains("wanted version = \"0.2.0\""));
        let lock = "[[package]]\nname = \"fib\"\nversion = \"0.1.0\"\n\n\
                    [[package]]\nname = \"serde\"\nversion = \"1.0.1\"\nsource = \"registry\"\n\n\
                    [[package]]\nname = \"fuzz\"\nversion = \"0.0.0\"\n";
        assert!(in_lock(lock, "0.1.0").is_ok());
        assert!(error(in_lock(lock, "0.2.0")).contains("fib has version 0.1.0: wanted 0.2.0"));
        let text = "tar -xf ipa-sidecar-0.1.0-x86_64.tar.zst # or ipa-sidecar-VERSION, ipa-fleet-check.8";
        assert!(in_document(text, "0.1.0").is_ok());
        assert!(error(in_document(text, "0.2.0")).contains("ipa-sidecar-0.1.0: wanted ipa-sidecar-0.2.0"));
    }
}
