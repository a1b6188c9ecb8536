// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The operator's page in a browser: Playwright, and Chromium as the system has it.

use std::path::PathBuf;

use crate::stage::{Outcome, Stage, cargo, command, has, root, run, run_counting, target};

const TESTS: &str = "c2/tests/page";

/// Runs them on a real server with devices that answer; pictures go to `target/page/pictures`.
pub fn page() -> Stage {
    if !has("npm") || !has("node") {
        return Ok(Outcome::Skipped("no node and npm".into()));
    }
    let Some(chromium) = chromium() else {
        return Ok(Outcome::Skipped("no chromium; its place may be named by CHROMIUM".into()));
    };
    let inside = target().join("page");
    copy(&inside)?;
    let mut tools = command("npm");
    tools.args(["ci", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(&inside);
    if let Err(error) = run(&mut tools) {
        return Ok(Outcome::Skipped(format!("no tools: {error}")));
    }
    run(cargo().args(["build", "--quiet", "-p", "e4-c2"]))?;
    let mut tests = command("env");
    tests.arg(format!("E4_PROGRAM={}", target().join("debug/e4").display()));
    tests.arg(format!("CHROMIUM={}", chromium.display())).arg("NO_COLOR=1");
    tests.arg("npm").args(["--silent", "--prefix"]).arg(&inside).args(["test", "--silent"]);
    let count = run_counting(&mut tests)?;
    if count == 0 {
        return Err("Playwright ran no test".into());
    }
    Ok(Outcome::Passed(format!("{count} tests")))
}

fn chromium() -> Option<PathBuf> {
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let usual = ["chromium", "chromium-browser", "google-chrome"];
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&paths)
        .flat_map(|directory| usual.map(|name| directory.join(name)))
        .find(|program| program.is_file());
    named.filter(|program| program.is_file()).or(found)
}

/// The tests beside their tools, which are not for the source tree.
fn copy(inside: &std::path::Path) -> Result<(), String> {
    let fail = |error: std::io::Error| format!("{TESTS}: {error}");
    std::fs::create_dir_all(inside).map_err(fail)?;
    for entry in std::fs::read_dir(root().join(TESTS)).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        std::fs::copy(entry.path(), inside.join(entry.file_name())).map_err(fail)?;
    }
    Ok(())
}
