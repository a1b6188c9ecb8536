// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whether a secret decides a branch or an address: `ctests/secrets` under valgrind, over the ciphers
//! that microcontrollers have, compiled for the host with the same profile.

use super::image::{WARNINGS, output, work};
use crate::stage::{cargo, command, run};

/// The code of the microcontrollers: not a word for AES-NI, AVX or 64-bit arithmetic; and the library
/// tells what it reveals.
const FLAGS: &str = "--cfg e4_reveal \
    --cfg sha2_backend=\"soft\" --cfg sha2_backend_soft=\"compact\" \
    --cfg curve25519_dalek_backend=\"serial\" --cfg curve25519_dalek_bits=\"32\"";

/// Builds and runs it; a remark for the table.
pub fn check() -> Result<String, String> {
    println!("\n--- secrets");
    let build = work()?.join("secrets");
    let mut library = cargo();
    library.args(["build", "--quiet", "-p", "e4-c", "--profile", "firmware"]);
    library.args(["--no-default-features", "--features", "pubkey", "--target-dir"]).arg(&build);
    run(library.env("RUSTFLAGS", FLAGS).env_remove("CARGO_ENCODED_RUSTFLAGS"))?;
    let program = build.join("main");
    let mut compile = command("gcc");
    compile.args(WARNINGS).args(["-g", "-Iinclude", "-DPUBLIC_KEY", "ctests/secrets/main.c"]);
    run(compile.arg(build.join("firmware/libe4.a")).arg("-o").arg(&program))?;
    // The reports on the leaks on purpose are left out; the program counts all of them.
    let text = output(command("valgrind").args(["--quiet", "--log-file=/dev/null"]).arg(&program))?;
    print!("{text}");
    let passed = text.lines().last().and_then(|line| line.split_once(" passed"));
    let (count, _) = passed.ok_or("ctests/secrets counted nothing")?;
    Ok(format!("{count} checks of secrets"))
}
