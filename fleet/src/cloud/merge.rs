//! From the texts of the settings to a cloud. Pure.

use callback_url::ApiUrl;
use serde_json::{Map, Value, json};
use text::{Secret, printable};

use crate::params::AuthKind;

use super::read::Settings;
use super::{Cloud, CloudError, Identity, Wanted};

/// The plugins of keystoneauth1 that are spoken here.
const PASSWORD: [&str; 2] = ["password", "v3password"];
const APPLICATION_CREDENTIAL: &str = "v3applicationcredential";
const INTERFACES: [&str; 3] = ["public", "internal", "admin"];
/// Keystone's own default domain.
const DEFAULT_DOMAIN: &str = "default";

/// Reads the settings; warnings beside.
///
/// # Errors
/// The first setting that is missing or cannot be used.
pub fn cloud(settings: &Settings) -> Result<(Cloud, Vec<String>), CloudError> {
    let wrong = |problem: String| CloudError::Setting { origin: settings.origin.clone(), problem };
    let url = |key: &str| match settings.get(key).map(ApiUrl::parse) {
        None => Ok(None),
        Some(Ok(url)) => Ok(Some(url)),
        Some(Err(error)) => Err(wrong(format!("{key} is not usable: {error}"))),
    };
    let identity = identity(settings).map_err(wrong)?;
    let auth_url =
        url("auth_url")?.ok_or_else(|| wrong("auth_url is missing: the URL of Keystone".to_owned()))?;
    let wanted = scope(settings, &identity).map_err(wrong)?;
    let interface = settings.get("interface").or_else(|| settings.get("endpoint_type")).unwrap_or("public");
    let interface = interface.trim_end_matches("URL"); // As it was called before.
    if !INTERFACES.contains(&interface) {
        return Err(wrong(format!("interface is not usable: wanted one of {}", INTERFACES.join(", "))));
    }
    let boolean = |key: &str, default: bool| match settings.get(key).map(::settings::value::boolean) {
        None => Ok(default),
        Some(read) => read.map_err(|wanted| wrong(format!("{key} is not usable: wanted {wanted}"))),
    };
    let owned = |key: &str| settings.get(key).map(str::to_owned);
    let cert = match (owned("cert"), owned("key")) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        _ => return Err(wrong("cert and key go together".to_owned())),
    };
    let cloud = Cloud {
        auth_url,
        identity,
        wanted,
        interface: interface.to_owned(),
        region: owned("region_name"),
        endpoint: url("baremetal_endpoint_override")?,
        cacert: owned("cacert"),
        cert,
        verify: boolean("verify", true)? && !boolean("insecure", false)?,
    };
    let unknown = settings.unknown.iter();
    let warnings =
        unknown.map(|key| format!("{}: the key {key} is not known and has no effect", settings.origin));
    Ok((cloud, warnings.collect()))
}

fn identity(settings: &Settings) -> Result<Identity, String> {
    let needed = |key: &str| settings.get(key).ok_or_else(|| format!("{key} is missing"));
    let has_credential =
        ["id", "name"].iter().any(|part| settings.get(&format!("application_credential_{part}")).is_some());
    let usual = if has_credential { APPLICATION_CREDENTIAL } else { "password" };
    match settings.get("auth_type").unwrap_or(usual) {
        APPLICATION_CREDENTIAL => {
            let secret = Secret::new(needed("application_credential_secret")?.to_owned());
            let mut credential = Map::new();
            match settings.get("application_credential_id") {
                Some(id) => {
                    credential.insert("id".to_owned(), id.into());
                }
                None => {
                    credential.insert("name".to_owned(), needed("application_credential_name")?.into());
                    credential.insert("user".to_owned(), user(settings)?.into());
                }
            }
            Ok(Identity::ApplicationCredential { credential, secret })
        }
        kind if PASSWORD.contains(&kind) => {
            let password = Secret::new(needed("password")?.to_owned());
            Ok(Identity::Password { user: user(settings)?, password })
        }
        // As Bifrost and Metal3 write them.
        kind if AuthKind::NAMES.contains(&kind) => {
            Err(format!("auth_type {kind} is without Keystone: give --ironic.url and --ironic.auth={kind}"))
        }
        other => Err(format!(
            "auth_type {} is not supported: wanted one of password, v3password, {APPLICATION_CREDENTIAL}",
            printable(other)
        )),
    }
}

fn user(settings: &Settings) -> Result<Map<String, Value>, String> {
    let missing = || "username or user_id is missing".to_owned();
    named(settings, "user_id", "username", "user").ok_or_else(missing)
}

/// `{"id": …}`, or `{"name": …, "domain": …}`.
fn named(settings: &Settings, id: &str, name: &str, kind: &str) -> Option<Map<String, Value>> {
    let mut found = Map::new();
    if let Some(id) = settings.get(id) {
        found.insert("id".to_owned(), id.into());
        return Some(found);
    }
    found.insert("name".to_owned(), settings.get(name)?.into());
    let domain_name = settings.get(&format!("{kind}_domain_name"));
    let domain_id = settings.get(&format!("{kind}_domain_id")).or_else(|| settings.get("default_domain"));
    found.insert(
        "domain".to_owned(),
        match (domain_name, domain_id) {
            (Some(name), _) => json!({ "name": name }),
            (None, id) => json!({ "id": id.unwrap_or(DEFAULT_DOMAIN) }),
        },
    );
    Some(found)
}

fn scope(settings: &Settings, identity: &Identity) -> Result<Wanted, String> {
    if matches!(identity, Identity::ApplicationCredential { .. }) {
        return Ok(Wanted::Own); // Keystone refuses another one.
    }
    match settings.get("system_scope") {
        Some("all") => return Ok(Wanted::System),
        Some(_) => return Err("system_scope is not usable: wanted all".to_owned()),
        None => {}
    }
    if settings.get("domain_id").or_else(|| settings.get("domain_name")).is_some() {
        return Err("a token for a domain shows no node: give system_scope: all".to_owned());
    }
    Ok(named(settings, "project_id", "project_name", "project").map_or(Wanted::Own, Wanted::Project))
}

#[cfg(test)]
mod tests {
    use super::super::settings as read;
    use super::*;

    fn of(clouds: &str, secure: &str) -> Result<(Cloud, Vec<String>), String> {
        let found = read(("clouds.yaml", clouds), ("secure.yaml", secure), "lab");
        found.and_then(|found| cloud(&found.unwrap())).map_err(|error| error.to_string())
    }

    const AUTH: &str = "clouds:\n  lab:\n    auth:\n      auth_url: http://192.0.2.1:5000/v3\n";

    #[test]
    fn a_system_scoped_user_with_the_password_in_secure() {
        let clouds = format!(
            "{AUTH}      username: mon\n      user_domain_name: Default\n      system_scope: all\n    region_name: R1\n    \
             interface: internal\n    verify: false\n    compute_api_version: 2\n    colour: red\n"
        );
        let secure = "clouds: {lab: {auth: {password: hunter2}}}";
        let (cloud, warnings) = of(&clouds, secure).unwrap();
        assert_eq!(
            (cloud.wanted, cloud.verify, cloud.region.as_deref()),
            (Wanted::System, false, Some("R1"))
        );
        assert_eq!(cloud.identity.secret().expose(), "hunter2");
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains("colour"), "{warnings:?}");
    }

    #[test]
    fn credentials_and_projects() {
        let credential =
            format!("{AUTH}      application_credential_id: i\n      application_credential_secret: s\n");
        let (cloud, _) = of(&credential, "").unwrap();
        assert_eq!(cloud.wanted, Wanted::Own);
        assert!(matches!(cloud.identity, Identity::ApplicationCredential { .. }));
        let project = format!("{AUTH}      username: u\n      password: p\n      project_name: admin\n");
        let (cloud, _) = of(&project, "").unwrap();
        let expected = json!({"name": "admin", "domain": {"id": "default"}});
        assert_eq!(cloud.wanted, Wanted::Project(expected.as_object().unwrap().clone()));
    }

    #[test]
    fn what_is_unusable_is_named_without_the_password() {
        for (clouds, words) in [
            (
                "clouds: {lab: {auth_type: http_basic, auth: {endpoint: 'http://h', username: u, password: hunter2}}}"
                    .to_owned(),
                "--ironic.auth=http_basic",
            ),
            (format!("{AUTH}      username: u\n"), "password is missing"),
            (format!("{AUTH}      password: hunter2\n"), "username or user_id"),
            (
                format!("{AUTH}      username: u\n      password: hunter2\n    auth_type: v3oidcpassword\n"),
                "v3oidcpassword",
            ),
            (
                format!("{AUTH}      username: u\n      password: hunter2\n      system_scope: some\n"),
                "wanted all",
            ),
            (format!("{AUTH}      username: u\n      password: hunter2\n    interface: any\n"), "public"),
            (
                format!("{AUTH}      username: u\n      password: hunter2\n    verify: hunter\n"),
                "true or false",
            ),
            ("clouds: {lab: {auth: {username: u, password: hunter2}}}".to_owned(), "auth_url"),
            (
                "clouds: {lab: {auth: {auth_url: mdns, username: u, password: hunter2}}}".to_owned(),
                "auth_url",
            ),
            ("clouds: [1]".to_owned(), "wrong type"),
            ("clouds: {lab: {auth: {password: hunter2".to_owned(), "YAML"),
        ] {
            let error = of(&clouds, "").unwrap_err();
            assert!(error.contains(words) && !error.contains("hunter2"), "{error}");
        }
        assert!(read(("c", "clouds: {}"), ("s", ""), "lab").unwrap().is_none());
    }
}
