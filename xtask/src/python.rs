// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The Python package: its wheel, and its tests against the installed wheel.

use std::fs;
use std::path::{Path, PathBuf};

use crate::stage::{Outcome, Stage, cargo, command, root, run, run_counting, target};

/// What the tests need beside the wheel (the extra `test` of pyproject.toml).
const TOOLS: &[&str] = &[
    "aiomqtt>=2,<3",
    "cryptography",
    "hypothesis",
    "mypy",
    "paho-mqtt>=2,<3",
    "pyright[nodejs]",
    "pytest",
];

/// A Python of 3.11 or later that can make virtual environments.
pub fn interpreter() -> Option<&'static str> {
    let check = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))";
    ["python3", "python3.14", "python3.13", "python3.12", "python3.11"].into_iter().find(|python| {
        let quiet = || std::process::Stdio::null();
        let mut probe = command(python);
        probe.args(["-c", check]).stdout(quiet()).stderr(quiet());
        probe.status().is_ok_and(|status| status.success())
    })
}

/// Makes a virtual environment, or keeps the one that is there, and installs into it.
pub fn environment(python: &str, at: &Path, packages: &[&str]) -> Result<PathBuf, String> {
    let inside = at.join("bin/python");
    if !inside.is_file() {
        run(command(python).args(["-m", "venv"]).arg(at))?;
    }
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    run(command(&inside).args(pip).args(packages))?;
    Ok(inside)
}

/// Builds the wheel into `target/wheels` and returns its path.
fn wheel(python: &str) -> Result<PathBuf, String> {
    let builder = environment(python, &target().join("python-build"), &["maturin>=1.16,<2"])?;
    let wheels = target().join("wheels");
    if wheels.is_dir() {
        fs::remove_dir_all(&wheels).map_err(|error| error.to_string())?;
    }
    let mut maturin = command(&builder);
    maturin.args(["-m", "maturin", "build", "--profile", "wheel", "--locked", "--quiet"]);
    maturin.args(["-m", "bindings/python/Cargo.toml", "-i"]).arg(&builder);
    run(maturin.arg("--out").arg(&wheels))?;
    let mut entries = fs::read_dir(&wheels).map_err(|error| error.to_string())?;
    let made = entries.next().ok_or("maturin made no wheel")?.map_err(|error| error.to_string())?;
    Ok(made.path())
}

/// `cargo xtask python`: the wheel, a clean environment, and everything that can be tested there.
pub fn python() -> Stage {
    let Some(python) = interpreter() else {
        return Ok(Outcome::Skipped("no python3 of 3.11 or later with venv and pip".into()));
    };
    let wheel = wheel(python)?;
    let clean = target().join("python-test");
    if clean.is_dir() {
        fs::remove_dir_all(&clean).map_err(|error| error.to_string())?;
    }
    let wheel = wheel.to_string_lossy();
    let inside = environment(python, &clean, &[&wheel])?;
    run(command(&inside).args(["-I", "-c", "import e4; print('e4', e4.__version__)"]))?;
    environment(python, &clean, TOOLS)?;

    // The device of the tests with a broker.
    run(cargo().args(["build", "--quiet", "-p", "e4-c2"]))?;
    let program = target().join("debug/e4");
    let mut pytest = command("env");
    pytest.arg(format!("E4_PROGRAM={}", program.display())).arg(&inside);
    pytest.args(["-m", "pytest", "-c", "bindings/python/pyproject.toml", "-p", "no:cacheprovider"]);
    let tests = run_counting(pytest.arg("bindings/python/tests"))?;
    if tests == 0 {
        return Err("pytest ran no test".into());
    }

    let mut runner = command(&inside);
    runner.args(["-m", "e4.vectors", "vectors"]);
    let shared = root().join("../shared/vectors");
    if shared.is_dir() {
        runner.arg(shared);
    }
    let cases = run_counting(&mut runner)?;
    Ok(Outcome::Passed(format!("{tests} tests, {cases} cases of vectors")))
}
