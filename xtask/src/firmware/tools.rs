// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The compilers and emulators: rustup's targets where they are installed, else Debian's Rust, which
//! comes with the source of `core`.

use std::path::Path;
use std::process::Command;

use super::boards::{BOARDS, Board};
use crate::stage::{cargo, command, has, run};

/// Debian's packages.
const PACKAGES: &[&str] = &[
    "rustc-web",
    "cargo-web",
    "rust-web-src",
    "gcc-arm-none-eabi",
    "libnewlib-arm-none-eabi",
    "qemu-system-arm",
    "gcc-riscv64-unknown-elf",
    "picolibc-riscv64-unknown-elf",
    "qemu-system-misc",
    "valgrind",
];
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_SOURCE: &str = "/usr/lib/rustlib/src/rust/library/Cargo.lock";

/// What is missing, as a reason for not running.
pub fn missing() -> Option<String> {
    let programs = BOARDS.iter().flat_map(|board| {
        [format!("{}gcc", board.prefix), board.emulator.first().unwrap_or(&"").to_string()]
    });
    let mut programs: Vec<String> =
        programs.chain(["gcc".into(), "valgrind".into()]).filter(|name| !has(name)).collect();
    programs.sort();
    programs.dedup();
    if !has_debian() && BOARDS.iter().any(|board| !has_target(board)) {
        programs.push("a Rust compiler for the targets".into());
    }
    if programs.is_empty() {
        return None;
    }
    Some(format!("not installed: {} (cargo xtask firmware --install)", programs.join(", ")))
}

/// Installs Debian's packages.
pub fn install() -> Result<(), String> {
    if missing().is_none() {
        return Ok(());
    }
    if !has("apt-get") {
        return Err(
            "--install knows Debian's apt-get alone; docs/firmware.md lists the tools".into()
        );
    }
    let mut install = command("apt-get");
    install.args(["install", "-y", "-qq", "--no-install-recommends"]).args(PACKAGES);
    run(command("apt-get").args(["update", "-qq"]))?;
    run(install.env("DEBIAN_FRONTEND", "noninteractive"))?;
    missing().map_or(Ok(()), Err)
}

fn has_debian() -> bool {
    [DEBIAN_CARGO, DEBIAN_RUSTC, DEBIAN_SOURCE].into_iter().all(|path| Path::new(path).is_file())
}

/// Whether the compiler that runs this has the target.
fn has_target(board: &Board) -> bool {
    let mut rustc = command("rustc");
    rustc.args(["--print", "target-libdir", "--target", board.triple]);
    let Ok(output) = rustc.output() else { return false };
    let directory = String::from_utf8_lossy(&output.stdout);
    output.status.success() && Path::new(directory.trim()).is_dir()
}

/// What builds for one board.
pub struct Tools {
    has_target: bool,
    prefix: &'static str,
}

impl Tools {
    pub fn find(board: &Board) -> Result<Self, String> {
        let has_target = has_target(board);
        if !has_target && !has_debian() {
            return Err(format!("no Rust compiler for {}", board.triple));
        }
        Ok(Self { has_target, prefix: board.prefix })
    }

    /// `cargo build` for the board.
    pub fn cargo_build(&self) -> Command {
        let mut build = if self.has_target {
            let mut build = cargo();
            build.arg("build");
            build
        } else {
            let mut build = command(DEBIAN_CARGO);
            // The compiler of a distribution builds its own `core`, as nightly ones do.
            build.args(["build", "-Zbuild-std=core"]);
            build.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
            build
        };
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTUP_TOOLCHAIN"] {
            if name != "RUSTUP_TOOLCHAIN" || !self.has_target {
                build.env_remove(name);
            }
        }
        build
    }

    /// One of GNU's tools.
    pub fn gnu(&self, tool: &str) -> Command {
        command(format!("{}{tool}", self.prefix))
    }
}
