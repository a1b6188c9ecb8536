// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What Kotlin and Swift share: the library, and the code that is generated from it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::stage::{cargo, command, run, target};

/// Builds the library and the generator, and returns the path of the library.
pub fn library() -> Result<PathBuf, String> {
    run(cargo().args(["build", "--quiet", "-p", "e4-uniffi", "-p", "e4-uniffi-bindgen"]))?;
    let extension = if cfg!(target_os = "macos") { "dylib" } else { "so" };
    Ok(target().join(format!("debug/libe4_uniffi.{extension}")))
}

/// Generates the code of a language into an empty folder.
pub fn generate(library: &Path, language: &str, to: &Path) -> Result<(), String> {
    empty(to)?;
    let mut generator = command(target().join("debug/uniffi-bindgen"));
    generator.args(["generate", "--no-format", "--language", language]);
    run(generator.arg("--out-dir").arg(to).arg(library))
}

/// A folder with nothing in it.
pub fn empty(folder: &Path) -> Result<(), String> {
    let fail = |error: std::io::Error| format!("{}: {error}", folder.display());
    if folder.is_dir() {
        fs::remove_dir_all(folder).map_err(fail)?;
    }
    fs::create_dir_all(folder).map_err(fail)
}

/// Copies a file, or a folder with what is in it.
pub fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let fail = |error: std::io::Error| format!("{}: {error}", from.display());
    if from.is_dir() {
        fs::create_dir_all(to).map_err(fail)?;
        for entry in fs::read_dir(from).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
        return Ok(());
    }
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(fail)?;
    }
    fs::copy(from, to).map_err(fail).map(drop)
}

/// The files of a folder and the folders in it that have an extension, sorted.
pub fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, String> {
    let fail = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.is_dir() {
            found.extend(files(&path, extension)?);
        } else if path.extension().is_some_and(|at| at == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
