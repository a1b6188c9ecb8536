// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask test`: the stages, and the table at the end.

use std::time::Instant;

use crate::stage::{
    Mosquitto, Outcome, Stage, cargo, command, has, root, run, run_counting, target,
};
use crate::{api, c, docs, firmware, kotlin, licences, page, python, swift};

/// A name, what it is for, and how it runs.
type Entry = (&'static str, &'static str, fn() -> Stage);

const STAGES: &[Entry] = &[
    ("features", "the core builds with each set of features, no_std included", features),
    ("rust", "unit, integration and documentation tests of the workspace", rust),
    ("vectors", "answers of the two implementations in the field", vectors),
    ("c", "ctests with each compiler, sanitizers and valgrind", c::ctests),
    ("readme", "the README's example in C compiles", readme),
    ("c-install", "programs build against the installed C library", c::install_test),
    ("c-examples", "examples/c, two devices over Mosquitto among them", c::examples),
    ("demo", "the demo on the embedded broker", demo),
    ("mosquitto", "the demo through Mosquitto", demo_mosquitto),
    ("python", "the wheel, and its tests in a clean environment", python::python),
    ("api", "existing tools' client over gRPC and HTTP, and schemathesis over OpenAPI", api::api),
    ("page", "the operator's page in Chromium, with devices that answer", page::page),
    ("firmware", "the C library on emulated microcontrollers, its size and cost", firmware::stage),
    ("kotlin", "the Kotlin package, its tests on the JVM, and its vectors", kotlin::kotlin),
    ("swift", "the Swift package, its tests in both language modes, and its vectors", swift::swift),
    ("docs", "docs/tasks.md is what the tests say", docs::check),
    ("licences", "every dependency may be used under both licences", licences::check),
];

/// Runs the named stages, or all.
pub fn test(names: &[&str]) -> Result<(), String> {
    if let Some(unknown) = names.iter().find(|name| !STAGES.iter().any(|(at, ..)| at == *name)) {
        return Err(format!("no such stage: {unknown}\nhint: cargo xtask stages"));
    }
    let all = std::env::var("E4_REQUIRE").is_ok_and(|value| value == "all");
    let mut rows = Vec::new();
    for (name, _, stage) in
        STAGES.iter().filter(|(name, ..)| names.is_empty() || names.contains(name))
    {
        println!("\n=== {name}");
        let start = Instant::now();
        let outcome = stage();
        rows.push((*name, outcome, start.elapsed().as_secs()));
    }
    println!("\n{:<12} {:<8} {:>6}  remark", "stage", "outcome", "time");
    let mut counts = [0usize; 3];
    for (name, outcome, seconds) in &rows {
        let (word, remark, count) = match outcome {
            Ok(Outcome::Passed(remark)) => ("passed", remark, 0),
            Ok(Outcome::Skipped(reason)) if all => ("FAILED", reason, 1),
            Ok(Outcome::Skipped(reason) | Outcome::NotHere(reason)) => ("skipped", reason, 2),
            Err(error) => ("FAILED", error, 1),
        };
        if let Some(place) = counts.get_mut(count) {
            *place += 1;
        }
        println!("{name:<12} {word:<8} {seconds:>5}s  {remark}");
    }
    let [passed, failed, skipped] = counts;
    println!("\n{passed} passed, {failed} failed, {skipped} skipped");
    if failed == 0 { Ok(()) } else { Err(format!("{failed} stages failed")) }
}

/// Runs storms; without options a big one of each kind.
pub fn chaos(options: &[&str]) -> Result<(), String> {
    let mut storms = cargo();
    storms.args(["test", "--release", "--quiet", "-p", "e4-c2", "--test", "chaos", "--"]);
    let help = options.contains(&"--help") || options.contains(&"-h");
    for (option, default) in [("--clients", "200"), ("--minutes", "3")] {
        if !help && !options.iter().any(|given| given.split('=').next() == Some(option)) {
            storms.args([option, default]);
        }
    }
    run(storms.args(options))
}

/// Prints the stages.
pub fn list() -> Result<(), String> {
    for (name, what, _) in STAGES {
        println!("{name:<12} {what}");
    }
    Ok(())
}

fn features() -> Stage {
    let sets =
        ["", "pubkey", "password", "pubkey,password", "std", "std,pubkey", "capi", "capi,pubkey"];
    for features in sets {
        let mut check = cargo();
        check.args(["check", "--quiet", "-p", "e4", "--lib", "--no-default-features"]);
        check.args(["--features", features]).env("RUSTFLAGS", "-D warnings");
        run(&mut check)?;
    }
    Ok(Outcome::Passed(format!("{} sets", sets.len())))
}

fn rust() -> Stage {
    let count = run_counting(cargo().args(["test", "--workspace", "--features", "e4/capi"]))?;
    // The ciphers and the hash of microcontrollers, which hosts do not have.
    let mut small = cargo();
    small.args(["test", "-p", "e4", "--no-default-features", "--features", "pubkey"]);
    let count =
        count + run_counting(small.args(["--test", "aes", "--test", "hash", "--test", "siv"]))?;
    Ok(Outcome::Passed(format!("{count} tests")))
}

fn vectors() -> Stage {
    let mut runner = cargo();
    runner.args(["run", "--release", "--quiet", "--example", "vectors", "--", "vectors"]);
    let shared = root().join("../shared/vectors");
    if shared.is_dir() {
        runner.arg(shared);
    }
    let count = run_counting(&mut runner)?;
    Ok(Outcome::Passed(format!("{count} cases")))
}

/// The README's example in Rust is a documentation test.
fn readme() -> Stage {
    let Some(compiler) = ["cc", "gcc", "clang"].into_iter().find(|program| has(program)) else {
        return Ok(Outcome::Skipped("no C compiler is installed".into()));
    };
    let text =
        std::fs::read_to_string(root().join("README.md")).map_err(|error| error.to_string())?;
    let example = text.split("```c\n").nth(1).and_then(|rest| rest.split("```").next());
    let source = target().join("readme.c");
    std::fs::write(&source, example.ok_or("no example")?).map_err(|error| error.to_string())?;
    let options = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"];
    run(command(compiler).args(options).arg("-Iinclude").arg(source))?;
    Ok(Outcome::Passed(String::new()))
}

fn demo() -> Stage {
    run(cargo().args(["run", "--release", "--quiet", "-p", "e4-c2", "--", "demo"]))?;
    Ok(Outcome::Passed(String::new()))
}

fn demo_mosquitto() -> Stage {
    if Mosquitto::program().is_none() {
        return Ok(Outcome::Skipped("mosquitto is not installed".into()));
    }
    let broker = Mosquitto::start()?;
    let address = broker.address();
    run(cargo().args([
        "run",
        "--release",
        "--quiet",
        "-p",
        "e4-c2",
        "--",
        "demo",
        "--broker",
        &address,
    ]))?;
    Ok(Outcome::Passed(String::new()))
}
