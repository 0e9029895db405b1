//! Parameters of earlier releases: the error for one names its replacement.

use super::spec::ENVIRONMENT_PREFIX;

/// A parameter that is gone.
#[derive(Debug)]
pub struct Removed {
    /// Its name, as the flag without dashes.
    pub name: &'static str,
    /// What has taken its place.
    pub instead: &'static str,
}

/// All of them.
pub const REMOVED: [Removed; 2] = [
    Removed {
        name: "ipa.api-url-list",
        instead: "IPA's API URLs are left as they are: --guard.redirect leads its connects through the guard",
    },
    Removed {
        name: "guard.stand-in",
        instead: "the guard sends no heartbeat of its own: mode configure or guard gives IPA its address",
    },
];

impl Removed {
    /// Its environment variable.
    pub fn environment_name(&self) -> String {
        format!("{ENVIRONMENT_PREFIX}{}", self.name.to_ascii_uppercase().replace(['.', '-'], "_"))
    }
}
