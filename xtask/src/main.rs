// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Tasks of the project: `cargo xtask help`.

mod api;
mod c;
mod docs;
mod firmware;
mod kotlin;
mod licences;
mod page;
mod python;
mod session;
mod stage;
mod swift;
mod tests;
mod uniffi;
mod vectors_c;

use std::path::{Path, PathBuf};
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
  chaos [OPTION...]      a storm over C2, its broker and its devices; see `cargo xtask chaos --help`
  python                 build the Python wheel into target/wheels and test it
  kotlin [--install]     build the Kotlin package and test it; with --install, set up what it needs
  kotlin --generate DIR  put the generated Kotlin code into DIR, for Gradle and Maven
  kotlin --jar FILE      put the compiled package into FILE
  kotlin -- vectors PATH...
                         run vectors through the Kotlin package
  swift [--install]      build the Swift package and test it; with --install, set up a compiler
  swift --bundle DIR     put a Swift package that needs the toolchain alone into DIR
  tools kotlin|swift|firmware
                         set up what a language, or the firmware build, needs
  docs                   write docs/tasks.md out of the tests
  dependencies           write the list of dependencies that C2's page shows
  stages                 list the stages of `test`
  help                   print this

Environment:
  E4_REQUIRE=all         a stage that is skipped counts as failed; but for `swift` and `firmware`,
                         whose compilers few machines have
  CHROMIUM               the browser for the page's tests, if it is not on the path
  E4_PROGRAM             the `e4` program for tests with a broker, if it is built already
  E4_SWIFT_ROOT          where `swift --install` sets up a system (/var/tmp/e4-swift/root)

Examples:
  cargo xtask test
  cargo xtask test rust vectors
  E4_REQUIRE=all cargo xtask test
  cargo xtask chaos --clients 200 --minutes 3 --mode symmetric --database sqlite
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["test", names @ ..] => tests::test(names),
        ["python"] => tests::test(&["python"]),
        ["firmware", arguments @ ..] => firmware::firmware(arguments),
        ["chaos", options @ ..] => tests::chaos(options),
        ["kotlin"] => tests::test(&["kotlin"]),
        ["kotlin", "--install"] => kotlin::install().and_then(|()| tests::test(&["kotlin"])),
        ["kotlin", "--generate", folder] => {
            absolute(folder).and_then(|folder| kotlin::generate(&folder).map(drop))
        }
        ["kotlin", "--jar", file] => absolute(file).and_then(|file| kotlin::jar_to(&file)),
        ["kotlin", "--", "vectors", paths @ ..] => kotlin::vectors(paths),
        ["swift"] => tests::test(&["swift"]),
        ["swift", "--install"] => swift::install().and_then(|()| tests::test(&["swift"])),
        ["swift", "--bundle", folder] => absolute(folder).and_then(|folder| swift::bundle(&folder)),
        ["docs"] => docs::write(),
        ["dependencies"] => licences::write(),
        ["tools", "kotlin"] => kotlin::install(),
        ["tools", "swift"] => swift::install(),
        ["tools", "firmware"] => firmware::install(),
        ["stages"] => tests::list(),
        ["install", "--prefix", prefix] => c::install(Path::new(prefix)),
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

/// A path that means the same wherever a tool runs.
fn absolute(path: &str) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| format!("{path}: {error}"))
}
