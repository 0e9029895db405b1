//! What is in the binary besides our own code: the list for a software bill of materials (CycloneDX 1.5), and the licence
//! texts that have to go with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Value, json};

use crate::{bpf, process};

/// A crate that is linked into the binary.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Component {
    name: String,
    version: String,
    /// An SPDX expression.
    licence: String,
    source: PathBuf,
}

/// The crates of the binary for a target: its normal dependencies and theirs, without build scripts', macros' and tests'.
pub fn of_binary(package: &str, has_probes: bool, target: &str) -> anyhow::Result<BTreeSet<Component>> {
    let mut command = process::cargo();
    command.args(["metadata", "--format-version", "1", "--locked", "--filter-platform", target]);
    if has_probes {
        command.args(["--features", &bpf::feature()]);
    }
    from_metadata(package, &serde_json::from_str(&process::output(&mut command)?)?)
}

fn from_metadata(root: &str, metadata: &Value) -> anyhow::Result<BTreeSet<Component>> {
    let by_id = |list: &str| -> BTreeMap<String, Value> {
        let entries = metadata.pointer(list).and_then(Value::as_array).into_iter().flatten();
        entries.filter_map(|entry| Some((entry["id"].as_str()?.to_owned(), entry.clone()))).collect()
    };
    let (packages, nodes) = (by_id("/packages"), by_id("/resolve/nodes"));
    let root = packages.iter().find(|(_, package)| package["name"] == root).context(root.to_owned())?.0;
    let (mut waiting, mut seen) = (vec![root.clone()], BTreeSet::new());
    while let Some(id) = waiting.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        let dependencies = nodes.get(&id).and_then(|node| node["deps"].as_array()).into_iter().flatten();
        let linked = dependencies.filter(|dependency| {
            let kinds = dependency["dep_kinds"].as_array();
            kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
        });
        let ids = linked.filter_map(|dependency| dependency["pkg"].as_str());
        waiting.extend(
            ids.filter(|id| packages.get(*id).is_some_and(|package| !is_macro(package))).map(str::to_owned),
        );
    }
    seen.remove(root);
    seen.iter().filter_map(|id| packages.get(id)).map(component).collect()
}

/// Procedural macros run in the compiler.
fn is_macro(package: &Value) -> bool {
    let targets = package["targets"].as_array().into_iter().flatten();
    targets
        .flat_map(|target| target["kind"].as_array().into_iter().flatten())
        .any(|kind| kind == "proc-macro")
}

fn component(package: &Value) -> anyhow::Result<Component> {
    let text = |key: &str| package[key].as_str().with_context(|| format!("a package without {key}"));
    Ok(Component {
        name: text("name")?.to_owned(),
        version: text("version")?.to_owned(),
        licence: text("license")?.to_owned(),
        source: Path::new(text("manifest_path")?).parent().context("a manifest has a folder")?.to_owned(),
    })
}

/// The bill of materials, as CycloneDX 1.5 has it in JSON.
pub fn sbom(components: &BTreeSet<Component>, package: &str, version: &str) -> anyhow::Result<String> {
    let entry = |Component { name, version, licence, .. }: &Component| {
        json!({
            "type": "library",
            "name": name,
            "version": version,
            "purl": format!("pkg:cargo/{name}@{version}"),
            "licenses": [{ "expression": licence.replace('/', " OR ") }],
        })
    };
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": { "type": "application", "name": package, "version": version } },
        "components": components.iter().map(entry).collect::<Vec<_>>(),
    });
    Ok(serde_json::to_string_pretty(&bill)? + "\n")
}

/// The licence of each component with the texts that it comes with. A text that several share stands once.
pub fn licences(components: &BTreeSet<Component>, package: &str) -> anyhow::Result<String> {
    let mut list =
        format!("What {package} is built with besides its own code, and under which licences.\n\n");
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for component in components {
        let name = format!("{} {}", component.name, component.version);
        writeln!(list, "{name}: {}", component.licence)?;
        for text in licence_texts(&component.source)? {
            texts.entry(text).or_default().push(name.clone());
        }
    }
    for (text, names) in texts {
        writeln!(list, "\n{}\n{}\n\n{}", "=".repeat(80), names.join(", "), text.trim_end())?;
    }
    Ok(list)
}

fn licence_texts(source: &Path) -> anyhow::Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(source).with_context(|| source.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_ascii_uppercase();
        if entry.file_type()?.is_file()
            && ["LICENSE", "LICENCE", "COPYING", "NOTICE"].iter().any(|word| name.starts_with(word))
        {
            files.push(entry.path());
        }
    }
    files.sort();
    files
        .iter()
        .map(|file| fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
        .collect::<Result<_, _>>()
        .context("licence texts")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::PACKAGE;

    #[test]
    fn only_what_is_linked_is_a_component() {
        let package = |name: &str, kind: &str| {
            json!({ "id": name, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0",
                    "manifest_path": format!("/s/{name}/Cargo.toml"), "targets": [{ "kind": [kind] }] })
        };
        let dependency = |id: &str, kind: Value| json!({ "pkg": id, "dep_kinds": [{ "kind": kind }] });
        let metadata = json!({
            "packages": [package(PACKAGE, "lib"), package("linked", "lib"), package("deep", "lib"),
                         package("built", "lib"), package("tested", "lib"), package("derive", "proc-macro")],
            "resolve": { "nodes": [
                { "id": PACKAGE, "deps": [dependency("linked", Value::Null), dependency("tested", "dev".into())] },
                { "id": "linked", "deps": [dependency("deep", Value::Null), dependency("built", "build".into()),
                                           dependency("derive", Value::Null)] },
            ] },
        });
        let components = from_metadata(PACKAGE, &metadata).unwrap();
        assert_eq!(components.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["deep", "linked"]);
        let bill: Value = serde_json::from_str(&sbom(&components, PACKAGE, "1").unwrap()).unwrap();
        assert_eq!(bill["components"][0]["purl"], "pkg:cargo/deep@1.0.0");
        assert_eq!(bill["components"][0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
    }
}
