// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Licences of the dependencies: each must allow use under both Apache-2.0 and MIT.

use serde_json::Value;

use crate::stage::{Outcome, Stage, cargo};

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

/// Reads every package that the workspace may build.
pub fn check() -> Stage {
    let output = cargo().args(["metadata", "--format-version", "1", "--locked"]).output();
    let output = output.map_err(|error| format!("cargo metadata: {error}"))?;
    let metadata: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
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
