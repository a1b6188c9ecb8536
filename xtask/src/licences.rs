// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Licences of the dependencies: each must allow use under both Apache-2.0 and MIT.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::stage::{Outcome, Stage, cargo, root};

/// What C2's page shows.
const SHOWN: &str = "c2/src/web/assets/dependencies.txt";

/// Licences whose terms are met by both of ours. MPL-2.0 stays with its own files; here they are
/// cbindgen's, a tool for building, and UniFFI's, which are used unchanged.
const COMPATIBLE: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

fn metadata() -> Result<Value, String> {
    let output = cargo().args(["metadata", "--format-version", "1", "--locked"]).output();
    let output = output.map_err(|error| format!("cargo metadata: {error}"))?;
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

/// The packages of others in the program `e4`, a line each: name, version, licence.
fn dependencies(metadata: &Value) -> Option<String> {
    let text = |value: &Value, name: &str| Some(value.get(name)?.as_str()?.to_string());
    let list = |value: &Value, name: &str| Some(value.get(name)?.as_array()?.clone());
    let mut packages = BTreeMap::new();
    for package in list(metadata, "packages")? {
        packages.insert(text(&package, "id")?, package);
    }
    let mut nodes = BTreeMap::new();
    for node in list(metadata.get("resolve")?, "nodes")? {
        nodes.insert(text(&node, "id")?, node);
    }
    let program =
        packages.iter().find(|(_, package)| text(package, "name").as_deref() == Some("e4-c2"));
    let mut left = vec![program?.0.clone()];
    let mut seen = BTreeSet::new();
    while let Some(id) = left.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        for dependency in list(nodes.get(&id)?, "deps")? {
            // Neither what builds it nor what tests it.
            let kinds = list(&dependency, "dep_kinds")?;
            if kinds.iter().any(|kind| kind.get("kind").is_none_or(Value::is_null)) {
                left.push(text(&dependency, "pkg")?);
            }
        }
    }
    let mut lines = BTreeSet::new();
    for package in seen.iter().filter_map(|id| packages.get(id)) {
        if package.get("source").is_some_and(|source| !source.is_null()) {
            let licence = text(package, "license").unwrap_or_default();
            lines.insert(format!(
                "{} {} {licence}\n",
                text(package, "name")?,
                text(package, "version")?
            ));
        }
    }
    Some(lines.into_iter().collect())
}

/// Writes the list that C2's page shows.
pub fn write() -> Result<(), String> {
    let list = dependencies(&metadata()?).ok_or("cargo metadata is not understood")?;
    std::fs::write(root().join(SHOWN), list).map_err(|error| format!("{SHOWN}: {error}"))
}

/// Reads every package that the workspace may build.
pub fn check() -> Stage {
    let metadata = metadata()?;
    let shown = std::fs::read_to_string(root().join(SHOWN)).unwrap_or_default();
    if dependencies(&metadata).is_none_or(|list| list != shown) {
        return Err(format!("{SHOWN} is not up to date: cargo xtask dependencies"));
    }
    let packages = metadata.get("packages").and_then(Value::as_array).ok_or("no packages")?;
    let mut refused = Vec::new();
    for package in packages {
        let text = |field| package.get(field).and_then(Value::as_str).unwrap_or("");
        if !is_compatible(text("license")) {
            refused.push(format!("{} {}: '{}'", text("name"), text("version"), text("license")));
        }
    }
    if refused.is_empty() {
        Ok(Outcome::Passed(format!("{} packages", packages.len())))
    } else {
        Err(format!("licences to look at: {}", refused.join(", ")))
    }
}

/// Reads `A OR B`, `A AND B`, `A/B` and brackets: every AND part needs one OR part that fits.
fn is_compatible(expression: &str) -> bool {
    let flat = expression.replace(['(', ')'], "").replace('/', " OR ");
    !flat.trim().is_empty()
        && flat
            .split(" AND ")
            .all(|part| part.split(" OR ").any(|licence| COMPATIBLE.contains(&licence.trim())))
}

#[cfg(test)]
mod tests {
    use super::is_compatible;

    #[test]
    fn expressions() {
        assert!(is_compatible("MIT"));
        assert!(is_compatible("MIT/Apache-2.0"));
        assert!(is_compatible("(MIT OR GPL-3.0) AND Unicode-3.0"));
        assert!(!is_compatible("GPL-3.0"));
        assert!(!is_compatible("MIT AND GPL-3.0"));
        assert!(!is_compatible(""));
    }
}
