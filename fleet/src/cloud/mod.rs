//! Where Keystone is and with which credentials: clouds.yaml with secure.yaml, or the `OS_*` variables
//! (openstacksdk, `config/loader.py`).

mod files;
mod merge;
mod read;

pub use merge::cloud;
pub use read::{Settings, settings};

use callback_url::ApiUrl;
use serde_json::{Map, Value};
use text::{Secret, printable};
use thiserror::Error;

use crate::params::{AuthKind, IronicParameters, Parameters};

/// What is wrong with the settings of a cloud. No variant holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CloudError {
    /// A file.
    #[error("{path}: {problem}")]
    File {
        /// Which.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A cloud that no file has.
    #[error("the cloud {name} stands in no clouds.yaml (looked at {looked_at})")]
    Unknown {
        /// Its name.
        name: String,
        /// Where it was looked for.
        looked_at: String,
    },
    /// A setting that is missing, or cannot be used.
    #[error("{origin}: {problem}")]
    Setting {
        /// The cloud, or the variables.
        origin: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

/// Who this program is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A user.
    Password {
        /// `id`, or `name` with `domain`.
        user: Map<String, Value>,
        /// The password.
        password: Secret,
    },
    /// An application credential.
    ApplicationCredential {
        /// `id`, or `name` with `user`.
        credential: Map<String, Value>,
        /// Its secret.
        secret: Secret,
    },
}

impl Identity {
    /// What must show nowhere.
    pub fn secret(&self) -> &Secret {
        match self {
            Self::Password { password, .. } => password,
            Self::ApplicationCredential { secret, .. } => secret,
        }
    }
}

/// The scope that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// That of the credential itself, or of the user's default project.
    Own,
    /// The system: all nodes.
    System,
    /// `id`, or `name` with `domain`.
    Project(Map<String, Value>),
}

/// A cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cloud {
    /// Keystone.
    pub auth_url: ApiUrl,
    /// The credentials there.
    pub identity: Identity,
    /// The scope that is asked for.
    pub wanted: Wanted,
    /// `public`, `internal` or `admin`.
    pub interface: String,
    /// The region, where one is named.
    pub region: Option<String>,
    /// Ironic's URL, instead of the catalog's.
    pub endpoint: Option<ApiUrl>,
    /// CA certificates.
    pub cacert: Option<String>,
    /// This program's client certificate and its key.
    pub cert: Option<(String, String)>,
    /// Whether certificates are verified.
    pub verify: bool,
}

impl Cloud {
    /// This program's own parameters for TLS go before those of the cloud.
    pub fn with_tls_of(&self, ironic: &IronicParameters) -> IronicParameters {
        let mut ironic = ironic.clone();
        ironic.cafile = ironic.cafile.or_else(|| self.cacert.clone().map(Into::into));
        if let (None, Some((cert, key))) = (&ironic.certfile, &self.cert) {
            (ironic.certfile, ironic.keyfile) = (Some(cert.into()), Some(key.into()));
        }
        ironic.insecure |= !self.verify;
        ironic
    }
}

/// The cloud of the parameters, of `OS_CLOUD`, or of the other `OS_*` variables; `None` where none is named. The warnings
/// name the keys that are not known.
///
/// # Errors
/// Files and settings that cannot be used.
pub fn find(parameters: &Parameters) -> Result<Option<(Cloud, Vec<String>)>, CloudError> {
    if parameters.ironic.auth == AuthKind::HttpBasic {
        return Ok(None);
    }
    let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let named = parameters.os_cloud.clone().or_else(|| environment("OS_CLOUD"));
    let settings = match named {
        Some(name) => {
            let text = files::read(&environment)?;
            let looked_at = text.looked_at();
            let found = text.settings(&name)?;
            found.ok_or_else(|| CloudError::Unknown { name: printable(&name), looked_at })?
        }
        None => match Settings::of_variables(&environment) {
            Some(settings) => settings,
            None => return Ok(None),
        },
    };
    let (cloud, warnings) = cloud(&settings)?;
    Ok(Some((cloud, warnings)))
}
