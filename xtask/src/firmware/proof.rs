// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a linked image must not contain, looked up in its symbols and its code.
//!
//! Every panic of Rust, whatever its cause, ends in the panic handler of the program, and the handler
//! of `bindings/c` is never inlined. So an image from which the linker has dropped the handler has
//! no panic that can be reached.
//!
//! That the library needs nothing of a C library, nor of the compiler's own, shows when `device.c`
//! links without both; it brings memset and memcmp along, as weak symbols.

use std::collections::BTreeSet;
use std::path::Path;

use super::image::output;
use super::tools::Tools;

/// Parts of symbol names (as the compiler writes them), and what they stand for.
const FORBIDDEN: &[(&str, &str)] = &[
    ("4core3fmt", "formatting"),
    ("__rust_alloc", "the heap"),
    ("malloc", "the heap"),
    ("_sbrk", "the heap"),
];
const HANDLER: &str = "rust_begin_unwind";
/// Where `core` keeps its panics.
const PANICKING: &[&str] = &["4core9panicking", "unwrap_failed", "expect_failed", HANDLER];

/// What is wrong with a library and images linked with it.
pub fn faults(tools: &Tools, archive: &Path, images: &[&Path]) -> Result<Vec<String>, String> {
    let mut faults = Vec::new();
    for image in images {
        let symbols = symbols(tools, image)?;
        for (part, what) in FORBIDDEN {
            let found = symbols.iter().filter(|name| name.contains(part));
            faults.extend(found.map(|name| format!("{}: {what}: {name}", image.display())));
        }
        if symbols.iter().any(|name| is_panicking(name)) {
            let callers = panicking(tools, image)?;
            faults.extend(callers.iter().map(|at| format!("{}: a panic in {at}", image.display())));
            if callers.is_empty() {
                faults.push(format!("{}: a panic that nothing calls by name", image.display()));
            }
        }
    }
    match static_ram(tools, archive)? {
        0 => {}
        bytes => faults.push(format!("{}: {bytes} bytes of static RAM", archive.display())),
    }
    Ok(faults)
}

fn is_panicking(name: &str) -> bool {
    PANICKING.iter().any(|part| name.contains(part))
}

/// The functions outside `core`'s panics that call one.
fn panicking(tools: &Tools, image: &Path) -> Result<BTreeSet<String>, String> {
    let code = output(tools.gnu("objdump").args(["-d", "--no-show-raw-insn"]).arg(image))?;
    let mut callers = BTreeSet::new();
    let mut function = "";
    for line in code.lines() {
        // "00000120 <function>:", then "     124:  bl  1d8 <target>".
        let Some((before, name)) = line.split_once('<') else { continue };
        let name = name.split('>').next().unwrap_or_default();
        if line.ends_with(">:") && !before.contains(':') {
            function = name;
        } else if is_panicking(name) && !is_panicking(function) {
            callers.insert(function.to_owned());
        }
    }
    Ok(callers)
}

fn symbols(tools: &Tools, file: &Path) -> Result<BTreeSet<String>, String> {
    let printed = output(tools.gnu("nm").arg(file))?;
    let name = |line: &str| line.split_whitespace().last().map(str::to_owned);
    Ok(printed.lines().filter(|line| !line.ends_with(':')).filter_map(name).collect())
}

/// Bytes of `.data` and `.bss` in all parts of a library.
pub fn static_ram(tools: &Tools, archive: &Path) -> Result<u64, String> {
    let printed = output(tools.gnu("size").arg(archive))?;
    let bytes = |line: &str| {
        let mut numbers = line.split_whitespace().skip(1);
        let data: u64 = numbers.next()?.parse().ok()?;
        Some(data + numbers.next()?.parse::<u64>().ok()?)
    };
    Ok(printed.lines().filter_map(bytes).sum())
}
