//! Where ironic-python-agent is installed on this machine: its version, and the certificates that come with it.

use std::fs;
use std::path::{Path, PathBuf};

use super::at;

/// Where it may be: ironic-python-agent-builder's virtual environment, a distribution's package, pip's.
const PREFIXES: [&str; 3] = ["/opt/ironic-python-agent", "/usr", "/usr/local"];

/// A release of IPA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct IpaVersion {
    /// Before the first dot.
    pub major: u16,
    /// Behind it.
    pub minor: u16,
}

impl IpaVersion {
    /// The first that makes its certificate itself (`enable_auto_tls` in its ironic_python_agent/config.py).
    pub const AUTO_TLS: Self = Self { major: 6, minor: 4 };
    /// The first that knows no option with a hyphen in its name (6.0.0 has no `deprecated_name` in its config.py).
    pub const WITHOUT_HYPHENS: Self = Self { major: 6, minor: 0 };

    /// Reads a version such as 13.0.0 or 9.7.1.dev3. One such as 0.0.1.dev1 is none: pbr writes it where the source had no
    /// tags.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let major = parts.next()?.parse().ok().filter(|major| *major > 0)?;
        Some(Self { major, minor: parts.next()?.parse().ok()? })
    }
}

/// An installed IPA; nothing where none was found, as where it is in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Installation {
    /// The directory of its Python packages.
    pub packages: Option<PathBuf>,
    /// Its release, where that is known.
    pub version: Option<IpaVersion>,
    /// The certificates that its Python trusts (certifi's `cacert.pem`; ironic-python-agent-builder adds the site's).
    pub certificates: Option<PathBuf>,
}

impl Installation {
    /// Looks for it; `program` is what its unit starts.
    pub(super) fn find(root: &Path, program: Option<&str>) -> Self {
        let of_program = program.and_then(|program| prefix_of(root, program));
        let prefixes = of_program.into_iter().chain(PREFIXES.map(|prefix| at(root, Path::new(prefix))));
        let found = prefixes.flat_map(|prefix| packages(&prefix)).find_map(|packages| {
            let version = version_in(&packages)?;
            Some((packages, IpaVersion::parse(&version)))
        });
        let Some((packages, version)) = found else {
            return Self::default();
        };
        let certificates = packages.join("certifi/cacert.pem");
        Self {
            version,
            certificates: certificates.is_file().then_some(certificates),
            packages: Some(packages),
        }
    }
}

/// The prefix of the interpreter in the program's first line, such as `#!/opt/ironic-python-agent/bin/python3 -s`.
fn prefix_of(root: &Path, program: &str) -> Option<PathBuf> {
    let content = exporter::read_file(&at(root, Path::new(program))).ok()?;
    let line = content.split(|byte| *byte == b'\n').next()?;
    let interpreter = std::str::from_utf8(line.strip_prefix(b"#!")?).ok()?.split_ascii_whitespace().next()?;
    Some(at(root, Path::new(interpreter).parent()?.parent()?))
}

/// The directories of Python packages below a prefix.
fn packages(prefix: &Path) -> Vec<PathBuf> {
    let libraries = ["lib", "lib64"].map(|name| prefix.join(name));
    let mut found: Vec<_> = libraries
        .iter()
        .flat_map(|library| entries(library))
        .filter(|(name, _)| name.starts_with("python3"))
        .flat_map(|(_, python)| ["site-packages", "dist-packages"].map(|name| python.join(name)))
        .filter(|packages| packages.is_dir())
        .collect();
    found.sort();
    found
}

/// The version in the name of IPA's metadata, such as `ironic_python_agent-13.0.0.dist-info`.
fn version_in(packages: &Path) -> Option<String> {
    entries(packages).find_map(|(name, _)| {
        let rest = name.strip_prefix("ironic_python_agent-")?;
        let version = rest.strip_suffix(".dist-info").or_else(|| rest.strip_suffix(".egg-info"))?;
        // An egg names its Python too.
        Some(version.split('-').next().unwrap_or_default().to_owned())
    })
}

fn entries(directory: &Path) -> impl Iterator<Item = (String, PathBuf)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
}

#[cfg(test)]
mod tests {
    use testbed::site::Directory;

    use super::*;

    #[test]
    fn a_version_without_tags_is_unknown_and_not_old() {
        for (text, expected) in [
            ("13.0.0", Some((13, 0))),
            ("9.7.1.dev3", Some((9, 7))),
            ("6.4.0", Some((6, 4))),
            ("0.0.1.dev1", None),
            ("0.0.0", None),
            ("unknown", None),
            ("13", None),
            ("", None),
        ] {
            let read = IpaVersion::parse(text).map(|version| (version.major, version.minor));
            assert_eq!(read, expected, "{text}");
        }
        assert!(IpaVersion::parse("6.3.9").unwrap() < IpaVersion::AUTO_TLS);
        assert!(IpaVersion::parse("13.0.0").unwrap() > IpaVersion::AUTO_TLS);
    }

    #[test]
    fn it_is_found_by_its_interpreter_then_in_the_usual_places() {
        let root = Directory::new("installed");
        assert_eq!(Installation::find(root.path(), None), Installation::default());
        root.write("usr/lib/python3/dist-packages/ironic_python_agent-5.0.4-py3.9.egg-info/PKG-INFO", "");
        let of_package = Installation::find(root.path(), Some("/nowhere"));
        assert_eq!(of_package.version, Some(IpaVersion { major: 5, minor: 0 }));
        assert_eq!(of_package.certificates, None);
        let builder = "opt/ironic-python-agent/lib/python3.12/site-packages";
        root.write(&format!("{builder}/ironic_python_agent-0.0.1.dev1.dist-info/METADATA"), "");
        root.write(&format!("{builder}/certifi/cacert.pem"), "");
        let of_builder = Installation::find(root.path(), None);
        assert_eq!((of_builder.version, of_builder.packages.is_some()), (None, true));
        assert_eq!(of_builder.certificates, Some(root.file(&format!("{builder}/certifi/cacert.pem"))));
        root.write("venv/lib64/python3.9/site-packages/ironic_python_agent-9.7.3.dist-info/METADATA", "");
        root.write("usr/bin/ipa", "#!/venv/bin/python3 -s\nimport re\n");
        let named = Installation::find(root.path(), Some("/usr/bin/ipa"));
        assert_eq!(named.version, Some(IpaVersion { major: 9, minor: 7 }));
    }
}
