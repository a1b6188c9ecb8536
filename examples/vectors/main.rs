// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Runs interoperability vectors through the public API:
//!
//! ```text
//! cargo run --release --example vectors -- PATH...
//! ```
//!
//! A path is a file or a folder of `*.json` files in the format of vectors/peers/README.md.

use std::path::Path;
use std::process::ExitCode;

mod runner;

fn main() -> ExitCode {
    let paths: Vec<_> = std::env::args_os().skip(1).collect();
    if paths.is_empty() {
        eprintln!("usage: vectors PATH...");
        return ExitCode::from(2);
    }
    let mut report = runner::Report::default();
    for path in &paths {
        report.run_path(Path::new(path));
    }
    for (kind, passed) in &report.kinds {
        println!("{kind:<24} {passed:>5} passed");
    }
    for ((section, reason), count) in &report.rules {
        println!("section {section:>2}, {count:>3} times: {reason}");
    }
    for failure in &report.failures {
        println!("FAILED {failure}");
    }
    println!("{} passed, {} failed, {} skipped", report.passed, report.failed, report.skipped);
    if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
