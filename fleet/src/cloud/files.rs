//! Where clouds.yaml and secure.yaml are looked for (openstacksdk, `config/loader.py`): the variable's place, the working
//! directory, the user's configuration, /etc/openstack.

use std::path::{Path, PathBuf};

use text::printable;

use super::CloudError;
use super::read::{Settings, settings};

/// The texts of the two files.
pub struct Texts {
    clouds: Option<(PathBuf, String)>,
    secure: Option<(PathBuf, String)>,
    places: Vec<PathBuf>,
}

/// Reads the first file that is there, of each kind.
///
/// # Errors
/// For one that is there and cannot be read.
pub fn read(environment: &impl Fn(&str) -> Option<String>) -> Result<Texts, CloudError> {
    let home = environment("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(environment("HOME")?).join(".config")));
    let directories: Vec<_> = [Some(PathBuf::new()), home.map(|home| home.join("openstack"))]
        .into_iter()
        .flatten()
        .chain([PathBuf::from("/etc/openstack")])
        .collect();
    let places = |variable: &str, stem: &str| -> Vec<PathBuf> {
        let named = environment(variable).map(PathBuf::from);
        let names = ["yaml", "yml"].map(|end| format!("{stem}.{end}"));
        let usual = directories.iter().flat_map(|directory| names.iter().map(|name| directory.join(name)));
        named.into_iter().chain(usual).collect()
    };
    let clouds = places("OS_CLIENT_CONFIG_FILE", "clouds");
    let secure = first(&places("OS_CLIENT_SECURE_FILE", "secure"))?;
    Ok(Texts { clouds: first(&clouds)?, secure, places: clouds })
}

fn first(places: &[PathBuf]) -> Result<Option<(PathBuf, String)>, CloudError> {
    let Some(path) = places.iter().find(|path| path.exists()) else { return Ok(None) };
    let problem = |problem: String| CloudError::File { path: shown(path), problem };
    let content = exporter::read_file(path).map_err(|error| problem(error.to_string()))?;
    let text = String::from_utf8(content).map_err(|_| problem("it is not text in UTF-8".to_owned()))?;
    Ok(Some((path.clone(), text)))
}

fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

impl Texts {
    /// The places of clouds.yaml, for people.
    pub fn looked_at(&self) -> String {
        let places: Vec<_> = match &self.clouds {
            Some((path, _)) => vec![shown(path)],
            None => self.places.iter().map(|path| shown(path)).collect(),
        };
        places.join(", ")
    }

    /// The settings of a cloud.
    ///
    /// # Errors
    /// For files that cannot be used.
    pub fn settings(&self, name: &str) -> Result<Option<Settings>, CloudError> {
        let text = |file: &Option<(PathBuf, String)>| {
            file.as_ref().map(|(path, text)| (shown(path), text.clone())).unwrap_or_default()
        };
        let (clouds, secure) = (text(&self.clouds), text(&self.secure));
        settings((&clouds.0, &clouds.1), (&secure.0, &secure.1), name)
    }
}
