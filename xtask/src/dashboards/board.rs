//! A dashboard's JSON: its panels, their queries, and what can be checked of them without any data.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::Value;

/// The panel types that the boards use; all of them are current ones.
const TYPES: [&str; 5] = ["stat", "timeseries", "table", "state-timeline", "barchart"];

/// A dashboard.
pub struct Board {
    /// The file's name without its end.
    pub name: String,
    json: Value,
}

/// One query of a panel, or of an annotation.
#[derive(Debug, Clone)]
pub struct Target {
    /// The title of the panel.
    pub panel: String,
    /// The letter of the query in it.
    pub letter: String,
    /// PromQL with variables.
    pub expression: String,
    /// The labels that the legend names, or the columns that a table names.
    pub labels: BTreeSet<String>,
    /// Its labels are columns of a table: one may be of another query of the same panel.
    pub is_table: bool,
}

/// A variable whose values are those of a label.
#[derive(Debug)]
pub struct Variable {
    /// Without the dollar sign.
    pub name: String,
    /// The series in which the label is looked for.
    pub series: String,
    /// The label.
    pub label: String,
}

impl Board {
    /// Reads one.
    ///
    /// # Errors
    /// Where the file is no JSON.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let json = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, json })
    }

    /// What every panel must have beside its queries: a description, a text for no data, a unit where it shows numbers.
    ///
    /// # Errors
    /// The first panel that lacks something, and what.
    pub fn check(&self) -> anyhow::Result<()> {
        let (mut ids, mut titles) = (BTreeSet::new(), BTreeSet::new());
        for panel in self.panels() {
            let title = text(panel, "/title");
            let lacks = |what: &str| format!("{}: panel {title:?}: {what}", self.name);
            if !ids.insert(panel.get("id").and_then(Value::as_u64)) {
                bail!(lacks("another panel has its id"));
            }
            let kind = text(panel, "/type");
            if kind == "row" {
                continue;
            }
            if !titles.insert(title.clone()) {
                bail!(lacks("another panel has its title"));
            }
            if !TYPES.contains(&kind.as_str()) {
                bail!(lacks(&format!("type {kind:?}")));
            }
            for needed in ["/title", "/description", "/fieldConfig/defaults/noValue"] {
                if text(panel, needed).is_empty() {
                    bail!(lacks(&format!("no {needed}")));
                }
            }
            if panel.pointer("/fieldConfig/defaults/thresholds/steps").is_none() {
                bail!(lacks("no thresholds"));
            }
            if kind == "timeseries" && text(panel, "/fieldConfig/defaults/unit").is_empty() {
                bail!(lacks("no unit"));
            }
            for target in array(panel, "/targets") {
                if text(target, "/expr").is_empty() || text(target, "/datasource/uid") != "${datasource}" {
                    bail!(lacks(
                        "a query without an expression, or of another data source than the variable's"
                    ));
                }
                if text(target, "/format") != "table" && text(target, "/legendFormat").is_empty() {
                    bail!(lacks("a query without a legend"));
                }
            }
        }
        Ok(())
    }

    /// The queries of all panels and annotations.
    pub fn targets(&self) -> Vec<Target> {
        let mut targets = Vec::new();
        for panel in self.panels() {
            let columns = columns(panel);
            for target in array(panel, "/targets") {
                let is_table = text(target, "/format") == "table";
                let labels =
                    if is_table { columns.clone() } else { legend_labels(&text(target, "/legendFormat")) };
                targets.push(Target {
                    panel: text(panel, "/title"),
                    letter: text(target, "/refId"),
                    expression: text(target, "/expr"),
                    labels,
                    is_table,
                });
            }
        }
        let annotations = array(&self.json, "/annotations/list").iter();
        targets.extend(annotations.filter(|annotation| annotation.get("expr").is_some()).map(|annotation| {
            Target {
                panel: format!("annotation {}", text(annotation, "/name")),
                letter: "A".to_owned(),
                expression: text(annotation, "/expr"),
                labels: BTreeSet::new(),
                is_table: false,
            }
        }));
        targets
    }

    /// The variables that are asked for, in their order: later ones depend on earlier ones.
    ///
    /// # Errors
    /// Where one is asked for in another way than by label values.
    pub fn variables(&self) -> anyhow::Result<Vec<Variable>> {
        let list = array(&self.json, "/templating/list").iter();
        list.filter(|variable| text(variable, "/type") == "query")
            .map(|variable| {
                let query = text(variable, "/query/query");
                let inside = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
                let (series, label) =
                    inside.and_then(|inside| inside.rsplit_once(", ")).with_context(|| query.clone())?;
                Ok(Variable {
                    name: text(variable, "/name"),
                    series: series.to_owned(),
                    label: label.to_owned(),
                })
            })
            .collect()
    }

    fn panels(&self) -> &[Value] {
        array(&self.json, "/panels")
    }
}

/// A PromQL expression with the values of its variables in it, as Grafana would put them there.
///
/// # Errors
/// Where a variable has no value.
pub fn substituted(expression: &str, values: &BTreeMap<String, String>) -> anyhow::Result<String> {
    let mut text = expression.to_owned();
    // The longest name first: one may be the beginning of another.
    let mut names: Vec<_> = values.iter().collect();
    names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    for (name, value) in names {
        text = text.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value);
    }
    if text.contains('$') {
        bail!("a variable without a value in {text}");
    }
    Ok(text)
}

fn legend_labels(legend: &str) -> BTreeSet<String> {
    legend.split("{{").skip(1).filter_map(|rest| Some(rest.split_once("}}")?.0.trim().to_owned())).collect()
}

/// The labels that a table's transformations name, and a chart's axis.
fn columns(panel: &Value) -> BTreeSet<String> {
    let mut columns: BTreeSet<_> = [text(panel, "/options/xField")].into();
    for transformation in array(panel, "/transformations") {
        for names in ["/options/excludeByName", "/options/renameByName", "/options/indexByName"] {
            let names = transformation.pointer(names).and_then(Value::as_object);
            columns.extend(names.into_iter().flat_map(|names| names.keys().cloned()));
        }
    }
    columns.retain(|name| !name.is_empty() && name != "Time" && !name.starts_with("Value"));
    columns
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn array<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn board(panel: Value) -> Board {
        Board { name: "test".to_owned(), json: json!({ "panels": [panel] }) }
    }

    fn panel() -> Value {
        json!({
            "id": 1, "type": "timeseries", "title": "t", "description": "d",
            "fieldConfig": {"defaults": {"noValue": "none", "unit": "s", "thresholds": {"steps": []}}},
            "targets": [{"refId": "A", "expr": "x", "legendFormat": "{{a}}: {{ b }}", "datasource": {"uid": "${datasource}"}}],
        })
    }

    #[test]
    fn what_a_panel_lacks_is_named() {
        board(panel()).check().unwrap();
        for (pointer, value, said) in [
            ("/type", json!("graph"), "type \"graph\""),
            ("/description", json!(""), "no /description"),
            ("/fieldConfig/defaults/noValue", json!(null), "noValue"),
            ("/fieldConfig/defaults/unit", json!(""), "no unit"),
            ("/targets/0/legendFormat", json!(""), "without a legend"),
            ("/targets/0/datasource/uid", json!("prometheus"), "data source"),
        ] {
            let mut panel = panel();
            *panel.pointer_mut(pointer).unwrap() = value;
            let error = board(panel).check().unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn labels_of_legends_and_tables_are_found() {
        let labels = |panel| board(panel).targets().remove(0).labels.into_iter().collect::<Vec<_>>();
        assert_eq!(labels(panel()), ["a", "b"]);
        let mut table = panel();
        table["targets"][0]["format"] = json!("table");
        table["transformations"] = json!([{"options": {"renameByName": {"instance": "Node", "Value #A": "x"}, "excludeByName": {"Time": true, "job": true}}}]);
        assert_eq!(labels(table), ["instance", "job"]);
    }

    #[test]
    fn variables_are_put_in() {
        let values = [("job", "j"), ("job_name", "n")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        assert_eq!(substituted("$job_name ${job} $job", &values).unwrap(), "n j j");
        assert!(substituted("$site", &values).is_err());
    }
}
