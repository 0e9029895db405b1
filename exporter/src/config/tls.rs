//! The section `tls_server_config`.

use std::fmt;
use std::path::PathBuf;

use rustls::crypto::SupportedKxGroup;
use rustls::crypto::ring::{ALL_CIPHER_SUITES, kx_group};
use rustls::version::{TLS12, TLS13};
use rustls::{ProtocolVersion, SupportedCipherSuite, SupportedProtocolVersion};
use text::{Secret, printable};

use super::ConfigError;
use super::yaml::{Key, Node};

const FIELDS: [&str; 13] = [
    "cert",
    "cert_file",
    "key",
    "key_file",
    "client_ca",
    "client_ca_file",
    "client_auth_type",
    "client_allowed_sans",
    "min_version",
    "max_version",
    "cipher_suites",
    "curve_preferences",
    "prefer_server_cipher_suites",
];

/// Go's names of the supported groups.
const GROUPS: [(&str, &dyn SupportedKxGroup); 3] =
    [("X25519", kx_group::X25519), ("CurveP256", kx_group::SECP256R1), ("CurveP384", kx_group::SECP384R1)];

/// How TLS is served.
#[derive(Debug)]
pub(crate) struct TlsSettings {
    /// The program's certificate, intermediates behind it.
    pub certificate: Material,
    /// Its key.
    pub key: Material,
    /// Whose certificates are asked for.
    pub clients: Clients,
    /// The versions, at least one.
    pub versions: Vec<&'static SupportedProtocolVersion>,
    /// The cipher suites, in the order of preference.
    pub suites: Vec<SupportedCipherSuite>,
    /// The groups of the key exchange, in the order of preference.
    pub groups: Vec<&'static dyn SupportedKxGroup>,
    /// The program's order of suites counts, not the client's.
    pub server_order: bool,
}

/// PEM, and the field that gives it.
#[derive(Debug)]
pub(crate) struct Material {
    /// The field's name.
    pub field: &'static str,
    /// The field's line.
    pub line: usize,
    /// Where the PEM is.
    pub source: Source,
}

/// Where PEM is.
#[derive(Debug)]
pub(crate) enum Source {
    /// In a file; a relative path begins at the configuration file's directory.
    File(PathBuf),
    /// In the configuration file itself.
    Inline(Secret),
}

impl fmt::Display for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::File(path) => write!(f, "{} \"{}\"", self.field, printable(&path.to_string_lossy())),
            Source::Inline(_) => f.write_str(self.field),
        }
    }
}

/// Whose certificates are asked for (`client_auth_type`).
#[derive(Debug)]
pub(crate) enum Clients {
    /// Nobody's.
    Anybody,
    /// Who gives one must have it from this CA.
    MayProve(Material),
    /// Everybody must have one from this CA.
    MustProve {
        /// The CA.
        ca: Material,
        /// One of these must be among its names (`client_allowed_sans`); empty: any name will do.
        names: Vec<String>,
    },
}

/// Reads the section; `None` where it is empty.
pub(super) fn section(section: &Key, value: &Node) -> Result<Option<TlsSettings>, ConfigError> {
    let fields = value.fields("tls_server_config")?;
    if fields.is_empty() {
        return Ok(None);
    }
    let (mut certificate, mut key, mut ca) = (None, None, None);
    let (mut auth, mut names) = (None, None);
    let (mut min, mut max) = (ProtocolVersion::TLSv1_2, ProtocolVersion::TLSv1_3);
    let (mut suites, mut groups) = (ALL_CIPHER_SUITES.to_vec(), GROUPS.map(|(_, group)| group).to_vec());
    let mut server_order = true;
    for (field, value) in fields {
        match field.name.as_str() {
            "cert" => material("cert", true, field, value, &mut certificate)?,
            "cert_file" => material("cert_file", false, field, value, &mut certificate)?,
            "key" => material("key", true, field, value, &mut key)?,
            "key_file" => material("key_file", false, field, value, &mut key)?,
            "client_ca" => material("client_ca", true, field, value, &mut ca)?,
            "client_ca_file" => material("client_ca_file", false, field, value, &mut ca)?,
            "client_auth_type" => auth = value.text("client_auth_type")?.map(|text| (field, text)),
            "client_allowed_sans" => names = Some((field, value.texts("client_allowed_sans")?)),
            "min_version" => min = version(field, value)?.unwrap_or(min),
            "max_version" => max = version(field, value)?.unwrap_or(max),
            "cipher_suites" => suites = cipher_suites(value)?.unwrap_or(suites),
            "curve_preferences" => groups = curves(value)?.unwrap_or(groups),
            "prefer_server_cipher_suites" => {
                server_order = value.boolean("prefer_server_cipher_suites")?.unwrap_or(server_order);
            }
            _ => return Err(field.unknown(&FIELDS)),
        }
    }
    let missing = |what: &str| section.error(format!("tls_server_config lacks {what}"));
    let versions = match (min, max) {
        (ProtocolVersion::TLSv1_2, ProtocolVersion::TLSv1_3) => vec![&TLS13, &TLS12],
        (ProtocolVersion::TLSv1_2, ProtocolVersion::TLSv1_2) => vec![&TLS12],
        (ProtocolVersion::TLSv1_3, ProtocolVersion::TLSv1_3) => vec![&TLS13],
        _ => return Err(section.error("min_version is above max_version")),
    };
    Ok(Some(TlsSettings {
        certificate: certificate.ok_or_else(|| missing("cert_file (or cert)"))?,
        key: key.ok_or_else(|| missing("key_file (or key)"))?,
        clients: clients(auth, ca, names)?,
        versions,
        suites,
        groups,
        server_order,
    }))
}

/// Reads PEM or the name of its file into `found`, which the other of the two fields may have filled.
fn material(
    name: &'static str,
    inline: bool,
    field: &Key,
    value: &Node,
    found: &mut Option<Material>,
) -> Result<(), ConfigError> {
    let Some(text) = value.text(name)? else {
        return Ok(());
    };
    if let Some(earlier) = found {
        return Err(field.error(format!("{name} beside {}: wanted one of the two", earlier.field)));
    }
    let source =
        if inline { Source::Inline(Secret::new(text.to_owned())) } else { Source::File(PathBuf::from(text)) };
    *found = Some(Material { field: name, line: field.line, source });
    Ok(())
}

fn version(field: &Key, value: &Node) -> Result<Option<ProtocolVersion>, ConfigError> {
    match value.text(&field.name)? {
        None => Ok(None),
        Some("TLS12") => Ok(Some(ProtocolVersion::TLSv1_2)),
        Some("TLS13") => Ok(Some(ProtocolVersion::TLSv1_3)),
        Some(other) => {
            let (name, other) = (&field.name, printable(other));
            Err(field.error(format!("{name}: \"{other}\" is not supported here: wanted TLS12 or TLS13")))
        }
    }
}

/// The suites of TLS 1.2 that are named, and all of TLS 1.3: as with Go, those cannot be chosen.
fn cipher_suites(value: &Node) -> Result<Option<Vec<SupportedCipherSuite>>, ConfigError> {
    let mut suites = Vec::new();
    let named = value.texts("cipher_suites")?;
    for (line, name) in &named {
        let found = ALL_CIPHER_SUITES.iter().find(|suite| go_name(suite) == *name);
        suites.push(*found.ok_or_else(|| {
            not_supported(*line, "cipher_suites", name, ALL_CIPHER_SUITES.iter().map(go_name))
        })?);
    }
    if named.is_empty() {
        return Ok(None);
    }
    let rest = ALL_CIPHER_SUITES.iter().filter(|suite| suite.tls13().is_some() && !suites.contains(suite));
    let rest: Vec<_> = rest.copied().collect();
    suites.extend(rest);
    Ok(Some(suites))
}

/// rustls writes TLS13_ where Go and the standard write TLS_.
fn go_name(suite: &SupportedCipherSuite) -> String {
    format!("{:?}", suite.suite()).replacen("TLS13_", "TLS_", 1)
}

fn curves(value: &Node) -> Result<Option<Vec<&'static dyn SupportedKxGroup>>, ConfigError> {
    let mut groups = Vec::new();
    for (line, name) in value.texts("curve_preferences")? {
        let found = GROUPS.iter().find(|(known, _)| *known == name);
        let known = || GROUPS.iter().map(|(known, _)| (*known).to_owned());
        groups.push(found.ok_or_else(|| not_supported(line, "curve_preferences", name, known()))?.1);
    }
    Ok(Some(groups).filter(|groups| !groups.is_empty()))
}

fn not_supported(line: usize, field: &str, value: &str, known: impl Iterator<Item = String>) -> ConfigError {
    let known: Vec<_> = known.collect();
    let (value, known) = (printable(value), known.join(", "));
    ConfigError::new(line, format!("{field}: \"{value}\" is not supported here: wanted some of {known}"))
}

fn clients(
    auth: Option<(&Key, &str)>,
    ca: Option<Material>,
    names: Option<(&Key, Vec<(usize, &str)>)>,
) -> Result<Clients, ConfigError> {
    const MAY: &str = "VerifyClientCertIfGiven";
    const MUST: &str = "RequireAndVerifyClientCert";
    let wanted = format!("wanted NoClientCert, {MAY} or {MUST}");
    if let Some((field, names)) = &names {
        if auth.is_none_or(|(_, kind)| kind != MUST) {
            return Err(field.error(format!("client_allowed_sans needs client_auth_type: {MUST}")));
        }
        if names.is_empty() {
            return Err(field.error("client_allowed_sans is empty: list a name, or leave it out"));
        }
    }
    let names: Vec<_> = names.into_iter().flat_map(|(_, names)| names).collect();
    if let Some((line, name)) = names.iter().find(|(_, name)| name.contains('@') && !name.contains("://")) {
        let (name, problem) = (printable(name), "e-mail addresses are not supported here");
        let wanted = "wanted a DNS name, an IP address or a URI";
        return Err(ConfigError::new(*line, format!("client_allowed_sans: \"{name}\": {problem}: {wanted}")));
    }
    match (auth, ca) {
        (None | Some((_, "NoClientCert")), None) => Ok(Clients::Anybody),
        (None | Some((_, "NoClientCert")), Some(ca)) => {
            let problem = format!("{} without client_auth_type: {MAY} or {MUST}", ca.field);
            Err(ConfigError::new(ca.line, problem))
        }
        (Some((field, MAY | MUST)), None) => Err(field.error("client_auth_type without client_ca_file")),
        (Some((_, MAY)), Some(ca)) => Ok(Clients::MayProve(ca)),
        (Some((_, MUST)), Some(ca)) => {
            Ok(Clients::MustProve { ca, names: names.into_iter().map(|(_, name)| name.to_owned()).collect() })
        }
        (Some((field, other @ ("RequestClientCert" | "RequireAnyClientCert" | "RequireClientCert"))), _) => {
            let problem =
                format!("client_auth_type: {other} checks nothing and is not supported here: {wanted}");
            Err(field.error(problem))
        }
        (Some((field, other)), _) => {
            Err(field.error(format!("client_auth_type: \"{}\" is unknown: {wanted}", printable(other))))
        }
    }
}
