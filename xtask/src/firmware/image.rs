// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The library built, linked with `examples/firmware`, run, and measured.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::boards::{Board, Variant};
use super::tools::Tools;
use super::{Measured, proof};
use crate::stage::{cargo, command, has, root, run, target};

pub const WARNINGS: &[&str] = &["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror"];
/// The sources that every machine has in common.
const EXAMPLE: &[&str] = &["main.c", "flash.c", "journal.c"];

/// Where everything is built.
pub fn work() -> Result<PathBuf, String> {
    let path = target().join("firmware");
    std::fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

/// What a command prints; a status other than 0 is a failure.
pub fn output(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The example on the host under sanitizers, with the library as hosts have it.
pub fn on_host() -> Result<String, String> {
    run(cargo().args(["build", "--quiet", "-p", "e4-c"]))?;
    let archive = target().join("debug/libe4.a");
    let mut ways = Vec::new();
    for compiler in ["gcc", "clang"].into_iter().filter(|compiler| has(compiler)) {
        let program = work()?.join(format!("host-{compiler}"));
        let mut compile = command(compiler);
        compile.args(WARNINGS).args(["-g", "-Iinclude", "-DPUBLIC_KEY"]);
        compile.args(["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]);
        compile.args(EXAMPLE.iter().chain(&["host.c"]).map(|source| example(source)));
        compile.arg(&archive).args(["-lpthread", "-ldl", "-lm", "-o"]).arg(&program);
        run(&mut compile)?;
        passes(&output(&mut command(&program))?)?;
        ways.push(compiler);
    }
    Ok(ways.join(" and "))
}

fn example(name: &str) -> PathBuf {
    root().join("examples/firmware").join(name)
}

fn passes(text: &str) -> Result<(), String> {
    print!("{text}");
    if text.lines().last() == Some("PASS") { Ok(()) } else { Err("the example failed".into()) }
}

/// Builds, links, proves, runs and measures.
pub fn measure(
    board: &'static Board,
    variant: &'static Variant,
    tools: &Tools,
) -> Result<Measured, String> {
    println!("\n--- {} {}", board.name, variant.name);
    let archive = library(board, variant, tools)?;
    let link = |name: &str, sources: &[&str], options: &[&str]| {
        let name = format!("{}-{}-{name}.elf", board.triple, variant.features.replace(',', "-"));
        let image = work()?.join(name);
        let mut link = tools.gnu("gcc");
        link.args(WARNINGS).args(["-Os", "-Iinclude", "-ffunction-sections", "-fdata-sections"]);
        link.args(board.cflags).args(variant.define).args(board.libc).args(options);
        link.args(["-nostartfiles", "-Wl,--gc-sections", "-Wl,-z,noexecstack", "-T"]);
        link.arg(example(board.script));
        link.args(sources.iter().chain(&[board.start]).map(|source| example(source)));
        link.arg(format!("-Wl,-Map={}", map_of(&image).display()));
        run(link.arg(&archive).arg("-o").arg(&image))?;
        Ok::<_, String>(image)
    };
    // Alone, without a C library: what the library needs it must have.
    let device = link("device", &["device.c"], &["-nostdlib"])?;
    let program = link("main", EXAMPLE, &[])?;

    let sizes = symbol_sizes(tools, &device)?;
    let size_of = |name: &str| sizes.get(name).copied().unwrap_or(0);
    Ok(Measured {
        board,
        variant,
        flash: flash(&device)?,
        flash_whole: flash(&program)?,
        static_ram: proof::static_ram(tools, &archive)?,
        client: size_of("client"),
        key_place: size_of("keys") / 4,
        calls: calls(&emulate(board, &program)?)?,
        faults: proof::faults(tools, &archive, &[&device, &program])?,
    })
}

fn library(board: &Board, variant: &Variant, tools: &Tools) -> Result<PathBuf, String> {
    let build = work()?.join("build");
    let mut cargo = tools.cargo_build();
    cargo.args(["--quiet", "-p", "e4-c", "--profile", "firmware", "--no-default-features"]);
    if !variant.features.is_empty() {
        cargo.args(["--features", variant.features]);
    }
    if let Some(config) = variant.config {
        cargo.arg("--config").arg(root().join(config));
    }
    cargo.args(["--target", board.triple]);
    run(cargo.arg("--target-dir").arg(&build))?;
    Ok(build.join(board.triple).join("firmware/libe4.a"))
}

/// What the linker writes about an image.
fn map_of(image: &Path) -> PathBuf {
    image.with_extension("map")
}

/// Bytes that the library takes in the flash of an image, with the parts of the compiler's own library
/// that come in its archive: code, constants, and what `.data` starts with. The linker's map says of
/// each section where it comes from: ` .text.e4_open  0x00001c04  0x2c  PATH/libe4.a(e4.o)`, with a
/// new line behind a long name.
fn flash(image: &Path) -> Result<u64, String> {
    const IN_FLASH: &[&str] =
        &[".text", ".rodata", ".srodata", ".data", ".sdata", ".ARM.exidx", ".eh_frame"];
    let path = map_of(image);
    let map =
        std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let (_, kept) = map.split_once("Linker script and memory map").ok_or("no map of the image")?;
    let (mut section, mut bytes) = ("", 0);
    for line in kept.lines() {
        if let Some(name) = line.strip_prefix(" .") {
            section = name.split_whitespace().next().unwrap_or_default();
        }
        let is_in_flash =
            IN_FLASH.iter().any(|name| section.starts_with(name.trim_start_matches('.')));
        if is_in_flash && line.contains("libe4.a(") {
            let mut numbers = line.split_whitespace().filter_map(|word| word.strip_prefix("0x"));
            let size = numbers.nth(1).and_then(|digits| u64::from_str_radix(digits, 16).ok());
            bytes += size.ok_or_else(|| format!("{}: {line}", path.display()))?;
        }
    }
    if bytes == 0 { Err(format!("{}: nothing of libe4.a", path.display())) } else { Ok(bytes) }
}

fn symbol_sizes(tools: &Tools, image: &Path) -> Result<BTreeMap<String, u64>, String> {
    let printed = output(tools.gnu("nm").arg("-S").arg(image))?;
    let parse = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let size = u64::from_str_radix(words.next()?, 16).ok()?;
        Some((words.nth(1)?.to_owned(), size))
    };
    Ok(printed.lines().filter_map(parse).collect())
}

/// Runs an image; what it prints must end with PASS.
fn emulate(board: &Board, image: &Path) -> Result<String, String> {
    let (program, arguments) = board.emulator.split_first().ok_or("no emulator")?;
    let mut emulator = command("timeout");
    emulator.arg("120").arg(program).args(arguments).args(["-display", "none", "-monitor", "none"]);
    emulator.args(["-icount", "shift=0,sleep=off"]);
    if board.start == "cortex_m.c" {
        emulator.args(["-serial", "none", "-semihosting-config", "enable=on,target=native"]);
    } else {
        emulator.args(["-serial", "stdio"]);
    }
    emulator.arg("-kernel").arg(image).stdin(Stdio::null());
    let output = emulator.output().map_err(|error| format!("{program}: {error}"))?;
    // Semihosting writes to the standard error.
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    passes(text.trim_end())?;
    println!();
    if !output.status.success() {
        return Err(format!("{program}: {}", output.status));
    }
    Ok(text)
}

/// The lines `measured CALL stack=N instructions=N`; the last of each call counts, which in the
/// variants with public keys is that of public-key mode.
fn calls(text: &str) -> Result<BTreeMap<String, (u64, u64)>, String> {
    let parse = |line: &str| {
        let mut words = line.strip_prefix("measured ")?.split_whitespace();
        let call = words.next()?.to_owned();
        let stack = words.next()?.strip_prefix("stack=")?.parse().ok()?;
        let instructions = words.next()?.strip_prefix("instructions=")?.parse().ok()?;
        Some((call, (stack, instructions)))
    };
    let calls: BTreeMap<_, _> = text.lines().filter_map(parse).collect();
    if calls.is_empty() { Err("nothing was measured".into()) } else { Ok(calls) }
}
