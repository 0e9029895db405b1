//! From flags, variables and file to the finished parameters.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, value_parser};
use exporter::read_file;
use settings::file::{self, Form};
use settings::{SettingError, similar};
use text::printable;

use super::problem::ParamsError;
use super::table::{CONFIG_FILE, ENVIRONMENT_PREFIX, Parameter, TABLE, Use};
use super::types::{AuthKind, Parameters};

/// A text and where it stands.
struct Given {
    text: String,
    origin: String,
}

/// What is given, highest precedence first for each name.
type Layers = BTreeMap<&'static str, Vec<Given>>;

/// Adds the flags of the table that a command needs.
pub fn flags(command: Command, wanted: Use) -> Command {
    command.args(TABLE.iter().filter(|row| wanted.has(row)).map(flag))
}

/// Values are taken as text as they are: reading and complaining is the same for every layer.
fn flag(row: &'static Parameter) -> Arg {
    let help = match row.default.filter(|_| row.form != Form::Boolean) {
        Some(default) => format!("{} [default: {default}]", row.help),
        None => row.help.to_owned(),
    };
    let arg = Arg::new(row.name)
        .long(row.name)
        .env(row.environment_name())
        .hide_env_values(true)
        .help(help)
        .help_heading(row.heading)
        .value_name(row.value_name)
        .value_parser(value_parser!(OsString));
    match row.form {
        Form::Boolean => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        _ => arg,
    }
}

/// A sentence for each variable with the prefix that is no parameter's. No error: Kubernetes sets such variables for a
/// service of this program's name, and a newer release may have more of them. Their values are not shown: one may be a secret.
pub fn unknown_variables(environment: &BTreeMap<String, OsString>) -> Vec<String> {
    let known = |name: &str| TABLE.iter().any(|row| row.environment_name() == name);
    let unknown = environment.keys().filter(|name| name.starts_with(ENVIRONMENT_PREFIX) && !known(name));
    let sentence = |name: &String| {
        let names = TABLE.iter().map(Parameter::environment_name);
        let meant = similar(name, ENVIRONMENT_PREFIX, names)
            .unwrap_or_else(|| "`ipa-fleet run --help` lists them".to_owned());
        format!("{} from the environment is no parameter: {meant}", printable(name))
    };
    unknown.map(sentence).collect()
}

/// Reads all of it. `environment` is the process's.
///
/// # Errors
/// The first thing that cannot be used.
pub fn load(
    matches: &ArgMatches,
    environment: &BTreeMap<String, OsString>,
) -> Result<Parameters, ParamsError> {
    let mut layers = Layers::new();
    for row in TABLE {
        let flag = flag_value(matches, row).map(|text| (text, format!("--{}", row.name)));
        let variable = row.environment_name();
        let variable = environment.get(&variable).map(|text| (text.clone(), variable));
        for (text, origin) in [flag, variable].into_iter().flatten() {
            let text = text.into_string().map_err(|text| SettingError::Unusable {
                name: row.name,
                value: printable(&text.to_string_lossy()),
                origin: origin.clone(),
                wanted: "text in UTF-8".to_owned(),
            })?;
            layers.entry(row.name).or_default().push(Given { text, origin });
        }
    }
    let named = merge(&layers)?;
    if let Some(path) = &named.config_file {
        for one in read_own(path, &layers)? {
            layers.entry(one.name).or_default().push(Given { text: one.text, origin: one.detail });
        }
    }
    let parameters = merge(&layers)?;
    together(&parameters)?;
    Ok(parameters)
}

fn flag_value(matches: &ArgMatches, row: &Parameter) -> Option<OsString> {
    // A command may lack the flag.
    if !matches.try_contains_id(row.name).is_ok_and(|given| given)
        || matches.value_source(row.name) != Some(ValueSource::CommandLine)
    {
        return None;
    }
    matches.get_raw(row.name)?.next_back().map(OsString::from)
}

/// An empty text stands for the default, as in the sidecar.
fn merge(layers: &Layers) -> Result<Parameters, ParamsError> {
    let mut parameters = Parameters::unset();
    for row in TABLE {
        let given = layers.get(row.name).and_then(|given| given.first());
        if let Some(default) = row.default {
            // A test reads every default of the table.
            let _ = (row.read)(default, &mut parameters);
        }
        if let Some(Given { text, origin }) = given.filter(|given| !given.text.is_empty()) {
            (row.read)(text.trim(), &mut parameters).map_err(|wanted| SettingError::Unusable {
                name: row.name,
                value: printable(&settings::value::without_password(text)),
                origin: origin.clone(),
                wanted: wanted.into_owned(),
            })?;
        }
    }
    Ok(parameters)
}

fn read_own(path: &Path, layers: &Layers) -> Result<Vec<file::Given>, ParamsError> {
    let unreadable = |reason: String| SettingError::Unreadable {
        name: CONFIG_FILE,
        path: printable(&path.to_string_lossy()),
        origin: origin(layers, CONFIG_FILE),
        reason,
    };
    let content = read_file(path).map_err(|error| unreadable(error.to_string()))?;
    let text = String::from_utf8(content).map_err(|_| unreadable("it is not text in UTF-8".to_owned()))?;
    file::read(path, &text, &Keys)
}

fn origin(layers: &Layers, name: &str) -> String {
    let given = layers.get(name).and_then(|given| given.first());
    given.map(|given| given.origin.clone()).unwrap_or_default()
}

struct Keys;

impl file::Keys for Keys {
    type Error = ParamsError;

    fn find(&self, name: &str) -> Option<(&'static str, Form)> {
        let row = TABLE.iter().find(|row| row.name == name && name != CONFIG_FILE)?;
        Some((row.name, row.form))
    }

    fn unknown(&self, name: &str, path: &str, line: usize) -> ParamsError {
        let wanted = match name {
            CONFIG_FILE => "it as the flag --config.file or in IPA_FLEET_CONFIG_FILE",
            name if name.contains("password") || name.contains("token") => {
                "the name of a file, as in `ironic.password-file = \"/etc/ipa-fleet/password\"`"
            }
            _ => "the name of a flag, as in `ironic.url = \"http://192.0.2.1:6385\"`",
        };
        let (path, key) = (path.to_owned(), printable(name));
        SettingError::UnknownKey { path, line, key, wanted: wanted.to_owned() }.into()
    }
}

/// What one parameter wants of another.
fn together(parameters: &Parameters) -> Result<(), ParamsError> {
    let ironic = &parameters.ironic;
    let wrong = |text: &str| Err(ParamsError::Together(text.to_owned()));
    match (ironic.auth, &ironic.username, &ironic.password_file) {
        (AuthKind::HttpBasic, Some(_), Some(_)) | (AuthKind::None, None, None) => {}
        (AuthKind::HttpBasic, ..) => {
            return wrong("ironic.auth=http_basic needs ironic.username and ironic.password-file");
        }
        (AuthKind::None, ..) => {
            return wrong("ironic.username and ironic.password-file are for ironic.auth=http_basic");
        }
    }
    let sidecar = &parameters.sidecar;
    if sidecar.username.is_some() != sidecar.password_file.is_some() {
        return wrong("sidecar.username and sidecar.password-file go together");
    }
    if ironic.certfile.is_some() != ironic.keyfile.is_some() {
        return wrong(
            "ironic.certfile and ironic.keyfile go together: a certificate without its key cannot be used",
        );
    }
    let report = &parameters.report;
    let is_set = !report.allow.is_empty() || report.token_file.is_some() || report.config_file.is_some();
    match report.listen_address {
        Some(_) if report.allow.is_empty() => {
            wrong("report.listen-address needs report.allow: the networks that may send reports")
        }
        None if is_set => {
            wrong("report.allow, report.token-file and report.config.file are for report.listen-address")
        }
        _ => Ok(()),
    }
}
