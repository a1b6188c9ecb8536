// SPDX-License-Identifier: Apache-2.0 OR MIT
//! C2's interface: the client of existing tools, and schemathesis over the OpenAPI document.

use std::path::Path;

use crate::python::{environment, interpreter};
use crate::stage::{Outcome, Stage, cargo, command, run, run_counting, target};

/// What `c2/tests/api` needs.
const TOOLS: &[&str] = &["cryptography", "grpcio", "grpcio-tools", "pytest", "schemathesis>=4,<5"];
const TESTS: &str = "c2/tests/api";

/// Runs both on a real server, in both modes.
pub fn api() -> Stage {
    let Some(python) = interpreter() else {
        return Ok(Outcome::Skipped("no python3 of 3.11 or later with venv and pip".into()));
    };
    let inside = match environment(python, &target().join("api-test"), TOOLS) {
        Ok(inside) => inside,
        Err(error) => return Ok(Outcome::Skipped(format!("no tools: {error}"))),
    };
    run(cargo().args(["build", "--quiet", "-p", "e4-c2"]))?;
    let program = target().join("debug/e4");
    let python = |arguments: &[&str]| {
        let mut python = command("env");
        python.arg(format!("E4_PROGRAM={}", program.display())).arg("PYTHONDONTWRITEBYTECODE=1");
        python.arg(&inside).args(arguments);
        run_counting(&mut python)
    };
    let tests = python(&["-m", "pytest", "-q", "-p", "no:cacheprovider", TESTS])?;
    if tests == 0 {
        return Err("pytest ran no test".into());
    }
    let fuzz = Path::new(TESTS).join("fuzz.py");
    let fuzz = fuzz.to_string_lossy();
    let mut cases = 0;
    for mode in ["symmetric", "public-key"] {
        cases += python(&[&fuzz, mode])?;
    }
    Ok(Outcome::Passed(format!("{tests} tests, {cases} cases of schemathesis")))
}
