//! The settings of one cloud, as texts: out of clouds.yaml and secure.yaml, or of the `OS_*` variables. Pure.

use std::collections::BTreeMap;

use exporter::yaml::{self, Node, Value};
use text::printable;

use super::CloudError;

/// The keys of a cloud that are read here.
const KEYS: [&str; 12] = [
    "auth_type",
    "region_name",
    "interface",
    "endpoint_type",
    "cacert",
    "cert",
    "key",
    "verify",
    "insecure",
    "baremetal_endpoint_override",
    "identity_api_version",
    "baremetal_api_version",
];
/// The keys of its `auth`.
const AUTH_KEYS: [&str; 17] = [
    "auth_url",
    "username",
    "user_id",
    "password",
    "user_domain_name",
    "user_domain_id",
    "project_name",
    "project_id",
    "project_domain_name",
    "project_domain_id",
    "default_domain",
    "domain_id",
    "domain_name",
    "system_scope",
    "application_credential_id",
    "application_credential_name",
    "application_credential_secret",
];
/// What other services' clients read.
const OF_OTHERS: [&str; 5] =
    ["_api_version", "_endpoint_override", "_service_type", "_service_name", "_default_microversion"];

/// The settings of a cloud. No `Debug`: a password is among them.
#[derive(Default, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where they stand.
    pub origin: String,
    values: BTreeMap<String, String>,
    /// Keys that nobody here knows, printable.
    pub unknown: Vec<String>,
}

impl Drop for Settings {
    fn drop(&mut self) {
        self.values.values_mut().for_each(zeroize::Zeroize::zeroize);
    }
}

impl Settings {
    /// A setting that is there and not empty.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Those of the variables: `OS_USERNAME` is `username`. `None` without `OS_AUTH_URL`.
    pub fn of_variables(environment: &impl Fn(&str) -> Option<String>) -> Option<Self> {
        environment("OS_AUTH_URL")?;
        let keys = AUTH_KEYS.iter().chain(&KEYS);
        let pairs = keys.filter_map(|key| {
            let value = environment(&format!("OS_{}", key.to_ascii_uppercase()))?;
            Some(((*key).to_owned(), value))
        });
        let values = pairs.collect();
        Some(Self { origin: "the variables OS_*".to_owned(), values, unknown: Vec::new() })
    }

    fn add(&mut self, key: &str, node: &Node, prefix: &str) {
        match &node.value {
            Value::Text(text) => {
                self.values.insert(key.to_owned(), text.clone());
            }
            Value::Null => {}
            Value::List(_) | Value::Map(_) => self.unknown.push(printable(&format!("{prefix}{key}"))),
        }
    }
}

/// The settings of a cloud in these files: each a path to name, and a text. secure.yaml goes before clouds.yaml.
///
/// # Errors
/// For a text that is no YAML, or of another shape.
pub fn settings(
    clouds: (&str, &str),
    secure: (&str, &str),
    name: &str,
) -> Result<Option<Settings>, CloudError> {
    let mut found = Settings::default();
    found.origin = printable(&format!("the cloud {name} in {}", clouds.0));
    let is_there = take(clouds, name, &mut found)?;
    take(secure, name, &mut found)?;
    Ok(is_there.then_some(found))
}

/// Takes a cloud's settings over; whether the file has that cloud.
fn take((path, text): (&str, &str), name: &str, into: &mut Settings) -> Result<bool, CloudError> {
    let problem = |problem: String| CloudError::File { path: path.to_owned(), problem };
    let broken = |error: exporter::ConfigError| problem(error.to_string());
    let root = yaml::parse(text).map_err(broken)?;
    let Some((_, clouds)) =
        root.fields("the file").map_err(broken)?.iter().find(|(key, _)| key.name == "clouds")
    else {
        return Ok(false);
    };
    let clouds = clouds.fields("clouds").map_err(broken)?;
    let Some((_, cloud)) = clouds.iter().find(|(key, _)| key.name == name) else { return Ok(false) };
    for (key, value) in cloud.fields("the cloud").map_err(broken)? {
        match key.name.as_str() {
            "auth" => {
                for (key, value) in value.fields("auth").map_err(broken)? {
                    match AUTH_KEYS.contains(&key.name.as_str()) {
                        true => into.add(&key.name, value, "auth."),
                        false => into.unknown.push(printable(&format!("auth.{}", key.name))),
                    }
                }
            }
            known if KEYS.contains(&known) => into.add(known, value, ""),
            other if OF_OTHERS.iter().any(|end| other.ends_with(end)) => {}
            other => into.unknown.push(printable(other)),
        }
    }
    Ok(true)
}
