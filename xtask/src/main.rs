// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Tasks of the project: `cargo xtask help`.

mod c;
mod firmware;
mod licences;
mod python;
mod stage;
mod tests;
mod vectors_c;

use std::process::ExitCode;

const HELP: &str = "\
Tasks of the project

Usage: cargo xtask TASK

  test [STAGE...]        run every test that this machine can run, then print a table of the stages;
                         with names, run those stages alone
  install --prefix DIR   build the C library and put it, its header, the pkg-config file and the
                         CMake package under DIR
  firmware [--install] [PROCESSOR...]
                         build the C library for microcontrollers, run it in emulators, print what it
                         takes, write target/firmware/report.json; an exceeded limit is an error.
                         With --install, install Debian's packages for it first
  python                 build the Python wheel into target/wheels and test it
  stages                 list the stages of `test`
  help                   print this

Environment:
  E4_REQUIRE=all         a stage that is skipped counts as failed

Examples:
  cargo xtask test
  cargo xtask test rust vectors
  E4_REQUIRE=all cargo xtask test
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["test", names @ ..] => tests::test(names),
        ["python"] => tests::test(&["python"]),
        ["firmware", arguments @ ..] => firmware::firmware(arguments),
        ["stages"] => tests::list(),
        ["install", "--prefix", prefix] => c::install(std::path::Path::new(prefix)),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        _ => {
            eprintln!("error: no such task: {}\nhint: cargo xtask help", words.join(" "));
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
