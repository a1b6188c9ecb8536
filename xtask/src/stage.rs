// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A stage of the tests: what it is called, what became of it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What became of a stage that did not fail.
pub enum Outcome {
    /// It ran; with a remark for the table, such as a count.
    Passed(String),
    /// It did not run here; with the reason.
    Skipped(String),
}

/// Passed or skipped; a failure says what failed.
pub type Stage = Result<Outcome, String>;

/// The top of the project.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Where cargo builds: `CARGO_TARGET_DIR`, or `target` at the top.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A command that runs at the top of the project.
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// `cargo`, the one that runs this.
pub fn cargo() -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs a command with its output shown; a status other than 0 is a failure that names it.
pub fn run(command: &mut Command) -> Result<(), String> {
    println!("$ {}", show(command));
    let status = command.status().map_err(|error| format!("{}: {error}", show(command)))?;
    if status.success() { Ok(()) } else { Err(format!("{}: {status}", show(command))) }
}

/// Whether a program of this name can be started.
pub fn has(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|directory| directory.join(program).is_file())
}

fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
