//! From the flags to the finished parameters: which layer is read when.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::ArgMatches;
use exporter::read_file;
use serde_json::Value;
use settings::{SettingError, similar};
use text::{MASK, Secret, printable};

use crate::image::place::{KnownBy, Place};
use crate::image::{Image, IpaVersion, Source as Read};

use super::layers::{Entry, Given, Layer, Merged, merge};
use super::places::Places;
use super::problem::{ParamsError, Problem, ProblemKind, Source};
use super::removed::REMOVED;
use super::spec::{ENVIRONMENT_PREFIX, Parameter, TABLE, is_kernel_name};
use super::types::Parameters;
use super::{by_image, cmdline, flags, ipa_files, own_file, value, vmedia};

/// How long a virtual medium may take to appear.
const MEDIUM_PATIENCE: Duration = Duration::from_secs(30);
/// The kernel parameter that says where IPA has its other ones.
const BOOT_METHOD: &str = "boot_method";
/// How often it is looked for.
const MEDIUM_PACE: Duration = Duration::from_millis(500);

/// Everything that was read.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The values, typed.
    pub parameters: Parameters,
    /// Each value with its origin, in the order of the table.
    pub entries: Vec<Entry>,
    /// What is wrong in layers that others wrote.
    pub problems: Vec<Problem>,
    /// The kernel command line says that the parameters are on a virtual medium, and there is none yet.
    pub lacks_medium: bool,
    /// What the image says of its IPA.
    pub image: Image,
    /// Where the drop-in goes.
    pub place: Place,
}

impl Loaded {
    /// The entry of a parameter.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// Whether a value was given that is unusable, or a source could not be read.
    pub fn has_unusable(&self) -> bool {
        self.problems.iter().any(|problem| problem.kind != ProblemKind::Conflict)
    }
}

/// Reads all layers of this system, with what its image says. `matches` are those of a command made with
/// [`super::flags()`].
///
/// # Errors
/// A bad value in a flag, a variable or the daemon's configuration file, or a file named there that cannot be read.
pub fn load(matches: &ArgMatches, image: &Image) -> Result<Loaded, ParamsError> {
    load_from(matches, &Places::system(image.clone()))
}

/// The same with the places given.
///
/// # Errors
/// As `load`.
pub fn load_from(matches: &ArgMatches, places: &Places) -> Result<Loaded, ParamsError> {
    flags::refuse_removed(matches)?;
    let mut layers = vec![flag_layer(matches)?, environment_layer(places)?];

    let named = merge(&layers)?;
    if let Some(path) = &named.parameters.sources.config_file {
        layers.push(own_file_layer(path, &named)?);
    }

    // The daemon's own layers are complete: now they say where the others are.
    let own = merge(&layers)?;
    let mut problems: Vec<_> = unknown_variables(places).collect();
    let words = read_cmdline(&own, &mut problems)?;
    let from_vmedia = words.get(BOOT_METHOD).is_some_and(|method| method == "vmedia");
    let mut medium = vmedia::Media::default();
    if from_vmedia && own.parameters.sources.vmedia {
        medium = vmedia::read(places, &mut problems);
    }
    let lacks_medium = from_vmedia && own.parameters.sources.vmedia && medium.is_empty();
    let image = &places.image;
    let place = image.place(given_directory(&own));
    let sources = sources(places, &place);
    let files = ipa_files::Files {
        etc: &places.etc,
        sources: &sources,
        ours: &place.directory,
        knows_hyphens: image
            .installation
            .version
            .is_some_and(|version| version < IpaVersion::WITHOUT_HYPHENS),
    };
    let options = ipa_files::read(&files, medium.config_files, &mut problems);
    layers.push(Layer { source: Source::IpaConfig, values: without_references(options, &mut problems) });
    layers.push(kernel_layer(Source::Vmedia, &medium.place, medium.parameters));
    let cmdline = own.parameters.sources.cmdline_path.to_string_lossy();
    layers.push(kernel_layer(Source::Cmdline, &cmdline, words));

    let mut merged = merge(&layers)?;
    merged.problems.splice(0..0, problems);
    read_token_file(&mut merged)?;
    pair_certificate(&mut merged)?;
    by_image::apply(&mut merged, image, &place);
    let Merged { parameters, entries, problems } = merged;
    Ok(Loaded { parameters, entries, problems, lacks_medium, image: image.clone(), place })
}

/// The directory of drop-ins that the operator has named.
fn given_directory(own: &Merged) -> Option<&Path> {
    let entry = own.entries.iter().find(|entry| entry.name == "ipa.config-dir");
    entry.filter(|entry| entry.source.is_own()).map(|_| own.parameters.ipa.config_dir.as_path())
}

/// What is read of IPA's files: what the image says that it reads, and the directory of the drop-in.
fn sources(places: &Places, place: &Place) -> Vec<Read> {
    let Some(known) = places.image.sources() else {
        return ipa_files::usual(&places.etc, &place.directory);
    };
    let ours = Read::Directory(place.directory.clone());
    let further = (place.known_by == KnownBy::Operator && !known.contains(&ours)).then_some(ours);
    known.iter().cloned().chain(further).collect()
}

/// As [`load`]; a virtual medium that should bring the API URL is waited for: a USB device takes its time. IPA fails
/// without it, and is started again until it is there.
///
/// # Errors
/// As [`load`].
pub async fn load_with_medium(matches: &ArgMatches, image: &Image) -> Result<Loaded, ParamsError> {
    let started = Instant::now();
    loop {
        let loaded = load(matches, image)?;
        let complete = !loaded.lacks_medium || !loaded.parameters.ironic.api_urls.is_empty();
        if complete || started.elapsed() >= MEDIUM_PATIENCE {
            return Ok(loaded);
        }
        tokio::time::sleep(MEDIUM_PACE).await;
    }
}

fn flag_layer(matches: &ArgMatches) -> Result<Layer, ParamsError> {
    let given = TABLE.iter().filter_map(|row| {
        let text = flags::given(matches, row)?;
        let detail = match (row.name, text.to_str()) {
            ("vmedia", Some("false")) => "--no-vmedia".to_owned(),
            (name, _) => format!("--{name}"),
        };
        Some((row, text, detail))
    });
    own_layer(Source::Flag, given)
}

fn environment_layer(places: &Places) -> Result<Layer, ParamsError> {
    if let Some(removed) =
        REMOVED.iter().find(|removed| places.environment.contains_key(&removed.environment_name()))
    {
        let (name, origin, instead) = (removed.name, removed.environment_name(), removed.instead);
        return Err(ParamsError::Removed { name, origin, instead });
    }
    let given = TABLE.iter().filter_map(|row| {
        let variable = row.environment_name();
        let text = places.environment.get(&variable)?.clone();
        Some((row, text, variable))
    });
    own_layer(Source::Environment, given)
}

/// Of the script for an initramfs, and of what builds and tests this program: they may be left in the environment.
const OTHERS: [&str; 6] = ["BINARY", "EBPF_OBJECT", "BPF_TOOLCHAIN", "CACHE", "WRITE_DOCS", "PAGE_PICTURES"];

/// No error: others set such variables too, as Kubernetes does for a service of this name, and a newer release may have
/// more of them. Their values are not shown: one may be a secret.
fn unknown_variables(places: &Places) -> impl Iterator<Item = Problem> {
    places.environment.keys().filter(|name| is_unknown(name)).map(|name| Problem {
        kind: ProblemKind::Unknown,
        name: printable(name),
        value: MASK.to_owned(),
        source: Source::Environment,
        detail: "the environment".to_owned(),
        wanted: meant(name),
    })
}

fn is_unknown(variable: &str) -> bool {
    let is_other = variable.strip_prefix(ENVIRONMENT_PREFIX).is_some_and(|rest| OTHERS.contains(&rest));
    !is_other && !TABLE.iter().any(|row| row.environment_name() == variable)
}

/// What may be meant.
fn meant(variable: &str) -> String {
    let names = TABLE.iter().map(Parameter::environment_name).rev();
    similar(variable, ENVIRONMENT_PREFIX, names)
        .unwrap_or_else(|| "`ipa-sidecar run --help` lists them".to_owned())
}

fn own_layer(
    source: Source,
    given: impl Iterator<Item = (&'static Parameter, OsString, String)>,
) -> Result<Layer, ParamsError> {
    let mut values = BTreeMap::new();
    for (row, text, detail) in given {
        let text = text.into_string().map_err(|text| SettingError::Unusable {
            name: row.name,
            value: if row.secret { MASK.to_owned() } else { printable(&text.to_string_lossy()) },
            origin: detail.clone(),
            wanted: "text in UTF-8".to_owned(),
        })?;
        values.insert(row.name.to_owned(), Given { text, detail });
    }
    Ok(Layer { source, values })
}

fn own_file_layer(path: &Path, named: &Merged) -> Result<Layer, ParamsError> {
    let unreadable = |reason| unreadable("config.file", path, named, reason);
    let content = read_file(path).map_err(|error| unreadable(error.to_string()))?;
    let text = String::from_utf8(content).map_err(|_| unreadable("it is not text in UTF-8".to_owned()))?;
    Ok(Layer { source: Source::File, values: own_file::parse(path, &text)? })
}

fn unreadable(name: &'static str, path: &Path, merged: &Merged, reason: String) -> SettingError {
    let entry = merged.entries.iter().find(|entry| entry.name == name);
    SettingError::Unreadable {
        name,
        path: printable(&path.to_string_lossy()),
        origin: entry.map(|entry| entry.detail.clone()).unwrap_or_default(),
        reason,
    }
}

/// The words of the kernel command line. A file that the operator named must be readable; without /proc there is
/// just nothing to read.
fn read_cmdline(own: &Merged, problems: &mut Vec<Problem>) -> Result<BTreeMap<String, String>, ParamsError> {
    const NAME: &str = "cmdline.path";
    let path = &own.parameters.sources.cmdline_path;
    let by_operator = own.entries.iter().any(|entry| entry.name == NAME && entry.source.is_own());
    match read_file(path) {
        Ok(content) => Ok(cmdline::parse(&content, |name| name == BOOT_METHOD || is_kernel_name(name))),
        Err(error) if by_operator => Err(unreadable(NAME, path, own, error.to_string()).into()),
        Err(error) => {
            let place = path.to_string_lossy();
            problems.push(Problem::unreadable(NAME, Source::Cmdline, &place, error));
            Ok(BTreeMap::new())
        }
    }
}

fn kernel_layer(source: Source, place: &str, words: BTreeMap<String, String>) -> Layer {
    let place = printable(place);
    let values = words.into_iter().map(|(name, text)| {
        let detail = format!("{place}: {}", printable(&name));
        (name, Given { text, detail })
    });
    Layer { source, values: values.collect() }
}

/// oslo.config replaces `$name` by another option's value; the daemon does not, and reports that. `$$` is a plain `$`.
fn without_references(
    options: BTreeMap<String, Given>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, Given> {
    let mut plain = BTreeMap::new();
    for (option, mut given) in options {
        let Some(row) = TABLE.iter().find(|row| row.ipa_option == Some(option.as_str())) else {
            continue; // One of IPA's many others.
        };
        if given.text.replace("$$", "").contains('$') {
            problems.push(Problem {
                kind: ProblemKind::Unusable,
                name: row.name.to_owned(),
                value: if row.secret { MASK.to_owned() } else { printable(&given.text) },
                source: Source::IpaConfig,
                detail: given.detail,
                wanted: "a value without references to other options ($name)".to_owned(),
            });
            continue;
        }
        given.text = given.text.replace("$$", "$");
        plain.insert(option, given);
    }
    plain
}

/// Reads the token where --ironic.agent-token-file holds it; it overrides a token that IPA was given.
fn read_token_file(merged: &mut Merged) -> Result<(), ParamsError> {
    const NAME: &str = "ironic.agent-token-file";
    let Some(path) = merged.parameters.sources.agent_token_file.clone() else {
        return Ok(());
    };
    let content = read_file(&path)
        .map(zeroize::Zeroizing::new)
        .map_err(|error| unreadable(NAME, &path, merged, error.to_string()))?;
    let token = std::str::from_utf8(&content)
        .map_err(|_| "text in UTF-8".into())
        .and_then(|text| value::token(text.trim()))
        .map_err(|wanted| unreadable(NAME, &path, merged, format!("it must hold {wanted}")))?;
    merged.parameters.ironic.agent_token = Some(Secret::new(token));
    let named = merged.entries.iter().find(|entry| entry.name == NAME);
    let origin = named.map(|entry| (entry.source, entry.detail.clone()));
    let token_entry = merged.entries.iter_mut().find(|entry| entry.name == "ironic.agent-token");
    if let (Some((source, detail)), Some(entry)) = (origin, token_entry) {
        entry.value = MASK.into();
        entry.source = source;
        entry.detail = format!("{detail}: {}", printable(&path.to_string_lossy()));
    }
    Ok(())
}

/// A certificate is unusable without its key, and so is the key without the certificate.
fn pair_certificate(merged: &mut Merged) -> Result<(), ParamsError> {
    let ironic = &merged.parameters.ironic;
    let (lonely, missing) = match (&ironic.certfile, &ironic.keyfile) {
        (Some(_), None) => ("ironic.certfile", "ironic.keyfile"),
        (None, Some(_)) => ("ironic.keyfile", "ironic.certfile"),
        _ => return Ok(()),
    };
    let Some(entry) = merged.entries.iter_mut().find(|entry| entry.name == lonely) else {
        return Ok(());
    };
    let shown = printable(entry.value.as_str().unwrap_or_default());
    let wanted = format!("{missing} with it: a certificate and its key go together");
    if entry.source.is_own() {
        let (name, origin) = (entry.name, entry.detail.clone());
        return Err(SettingError::Unusable { name, value: shown, origin, wanted }.into());
    }
    merged.problems.push(Problem {
        kind: ProblemKind::Unusable,
        name: lonely.to_owned(),
        value: shown,
        source: entry.source,
        detail: std::mem::replace(&mut entry.detail, "not set".to_owned()),
        wanted,
    });
    entry.value = Value::Null;
    entry.source = Source::Default;
    merged.parameters.ironic.certfile = None;
    merged.parameters.ironic.keyfile = None;
    Ok(())
}
