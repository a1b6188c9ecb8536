// SPDX-License-Identifier: Apache-2.0 OR MIT
//! C2, the command and control server of E4, and its command line.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
