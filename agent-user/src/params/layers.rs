//! The layers, and how they become one value for each parameter.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use settings::SettingError;
use text::{MASK, printable};

use super::kind::Rejected;
use super::problem::{ParamsError, Problem, ProblemKind, Source};
use super::spec::{Givers, Parameter, TABLE};
use super::types::Parameters;

/// A value as it stands in a layer. No `Debug`: it may be the agent token.
#[derive(Clone)]
pub(super) struct Given {
    /// The text.
    pub(super) text: String,
    /// Where exactly.
    pub(super) detail: String,
}

/// One layer. The keys are parameter names in the daemon's own layers, option names in IPA's configuration, kernel parameters
/// in virtual media and the kernel command line.
pub(super) struct Layer {
    pub(super) source: Source,
    pub(super) values: BTreeMap<String, Given>,
}

/// The effective value of one parameter and where it came from; one element of `params --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// The parameter, as the flag without dashes.
    pub name: &'static str,
    /// Its kernel parameter.
    pub kernel_name: Option<&'static str>,
    /// The value; null where it is unset, masked where it is a secret. Durations are seconds.
    pub value: Value,
    pub source: Source,
    /// Where in the layer, like `/proc/cmdline: ipa-api-url`.
    pub detail: String,
    /// Whether the value is masked.
    pub secret: bool,
}

/// The result of merging.
pub(super) struct Merged {
    pub(super) parameters: Parameters,
    pub(super) entries: Vec<Entry>,
    pub(super) problems: Vec<Problem>,
}

/// Takes for each parameter the first usable value, layers in the order given (highest precedence first). An empty one of
/// the daemon's own layers stands for the default.
pub(super) fn merge(layers: &[Layer]) -> Result<Merged, ParamsError> {
    let mut parameters = Parameters::default();
    let mut problems = Vec::new();
    let mut entries = Vec::with_capacity(TABLE.len());
    for row in TABLE {
        let mut entry = None;
        for (source, given) in candidates(row, layers) {
            if source.is_own() && given.text.is_empty() {
                // The operator takes back what a lower layer gives.
                let value = default_value(row, &mut parameters);
                entry = Some(row.entry(value, source, format!("{}, empty", given.detail)));
                break;
            }
            let reading = row.kind.read(&given.text, !source.is_own(), &mut parameters);
            for rejected in reading.rejected {
                if source.is_own() {
                    return Err(unusable_error(row, given, &rejected).into());
                }
                problems.push(unusable_problem(row, source, given, &rejected));
            }
            if let Some(value) = reading.value {
                entry = Some(row.entry(value, source, given.detail.clone()));
                break;
            }
        }
        entries.push(entry.unwrap_or_else(|| default_entry(row, &mut parameters)));
    }
    Ok(Merged { parameters, entries, problems })
}

impl Parameter {
    pub(super) fn entry(&self, value: Value, source: Source, detail: String) -> Entry {
        Entry { name: self.name, kernel_name: self.kernel_name(), value, source, detail, secret: self.secret }
    }
}

/// The values for one parameter, highest precedence first. Among the kernel parameters the name goes before the
/// layer, because IPA looks the name up in command line and virtual media put together.
fn candidates<'a>(row: &Parameter, layers: &'a [Layer]) -> Vec<(Source, &'a Given)> {
    let look_up = |wanted: fn(Source) -> bool, key: &str| -> Vec<(Source, &'a Given)> {
        let layers = layers.iter().filter(|layer| wanted(layer.source));
        layers.filter_map(|layer| Some((layer.source, layer.values.get(key)?))).collect()
    };
    let mut found = Vec::new();
    if row.givers != Givers::Foreign {
        found.extend(look_up(Source::is_own, row.name));
    }
    if let Some(option) = row.ipa_option {
        found.extend(look_up(|source| source == Source::IpaConfig, option));
    }
    for name in row.kernel_names {
        let of_kernel = |source| matches!(source, Source::Vmedia | Source::Cmdline);
        found.extend(look_up(of_kernel, name));
    }
    found
}

fn default_entry(row: &Parameter, parameters: &mut Parameters) -> Entry {
    let value = default_value(row, parameters);
    let detail = if value.is_null() { "not set" } else { "built in" };
    row.entry(value, Source::Default, detail.to_owned())
}

fn default_value(row: &Parameter, parameters: &mut Parameters) -> Value {
    let value = row.default.and_then(|default| row.kind.read(default, false, parameters).value);
    value.unwrap_or(Value::Null)
}

fn shown(row: &Parameter, rejected: &Rejected) -> String {
    if row.secret { MASK.to_owned() } else { printable(&rejected.text) }
}

fn unusable_error(row: &Parameter, given: &Given, rejected: &Rejected) -> SettingError {
    SettingError::Unusable {
        name: row.name,
        value: shown(row, rejected),
        origin: given.detail.clone(),
        wanted: rejected.wanted.clone().into_owned(),
    }
}

fn unusable_problem(row: &Parameter, source: Source, given: &Given, rejected: &Rejected) -> Problem {
    Problem {
        kind: ProblemKind::Unusable,
        name: row.name.to_owned(),
        value: shown(row, rejected),
        source,
        detail: given.detail.clone(),
        wanted: rejected.wanted.clone().into_owned(),
    }
}
