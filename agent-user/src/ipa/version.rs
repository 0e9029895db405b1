//! Which ironic-python-agent is installed, by the name of its metadata directory.

use std::path::{Path, PathBuf};

use crate::params::ApiUrlList;

/// The first version that was seen to understand a comma list of API URLs.
const KNOWS_LISTS: (u32, u32) = (9, 11);

/// Where Python packages are installed: the deploy images' virtual environment first, then distributions.
const PREFIXES: [&str; 4] = ["/opt/ironic-python-agent", "/usr/local", "/usr", "/opt/stack/venv"];

/// Major and minor version of the IPA under `root` (`/` outside of tests); `None` where none is found.
pub fn installed(root: &Path) -> Option<(u32, u32)> {
    let prefixes = PREFIXES.iter().map(|prefix| root.join(prefix.trim_start_matches('/')));
    let mut directories = prefixes.flat_map(|prefix| package_directories(&prefix));
    directories
        .find_map(|directory| entries(&directory).find_map(|path| of_name(path.file_name()?.to_str()?)))
}

/// Whether a version takes a list of API URLs.
fn knows_lists(version: (u32, u32)) -> bool {
    version >= KNOWS_LISTS
}

/// Why IPA cannot be given the guard with Ironic's own URLs behind it; `None` where it can.
pub fn takes_no_list(choice: ApiUrlList) -> Option<String> {
    match (choice, installed(Path::new("/"))) {
        (ApiUrlList::Always, _) => None,
        (ApiUrlList::Never, _) => Some("--ipa.api-url-list=never".to_owned()),
        (ApiUrlList::Auto, Some(version)) if knows_lists(version) => None,
        (ApiUrlList::Auto, Some((major, minor))) => {
            Some(format!("ironic-python-agent {major}.{minor} knows one API URL only"))
        }
        (ApiUrlList::Auto, None) => Some(
            "no installed ironic-python-agent was found, so it is not known to take a list of API URLs"
                .to_owned(),
        ),
    }
}

fn package_directories(prefix: &Path) -> Vec<PathBuf> {
    let libraries = ["lib", "lib64"].map(|name| prefix.join(name));
    let pythons = libraries.iter().flat_map(|library| entries(library)).filter(|path| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("python3"))
    });
    pythons.flat_map(|python| ["site-packages", "dist-packages"].map(|name| python.join(name))).collect()
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let mut paths: Vec<_> = std::fs::read_dir(directory)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    paths.sort();
    paths.into_iter()
}

/// `ironic_python_agent-13.0.0.dist-info`, or `.egg-info` of older packages.
fn of_name(name: &str) -> Option<(u32, u32)> {
    let rest = name.strip_prefix("ironic_python_agent-")?;
    let version = rest.strip_suffix(".dist-info").or_else(|| rest.split_once(".egg-info").map(|(v, _)| v))?;
    let mut numbers = version.split(['.', '-']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_it_by_name() {
        assert_eq!(of_name("ironic_python_agent-13.0.0.dist-info"), Some((13, 0)));
        assert_eq!(of_name("ironic_python_agent-9.11.1-py3.9.egg-info"), Some((9, 11)));
        assert_eq!(of_name("ironic_python_agent_builder-1.0.0.dist-info"), None);
        let root = std::env::temp_dir().join(format!("ipa-sidecar-version-{}", std::process::id()));
        let place = root.join("usr/lib/python3.11/site-packages/ironic_python_agent-9.7.1.dist-info");
        std::fs::create_dir_all(&place).unwrap();
        let version = installed(&root);
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!(version, Some((9, 7)));
        assert!(!knows_lists((9, 7)) && knows_lists((9, 11)) && knows_lists((13, 0)));
        assert_eq!(installed(Path::new("/nonexistent")), None);
    }
}
