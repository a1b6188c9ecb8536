// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask firmware`: the C library for microcontrollers, linked, run in emulators, measured.

mod boards;
mod image;
mod proof;
mod secrets;
mod tools;

pub use self::tools::install;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use self::boards::{BOARDS, Board, VARIANTS, Variant};
use self::tools::Tools;
use crate::stage::{Outcome, Stage, target};

/// What was found out about one target in one variant.
pub struct Measured {
    board: &'static Board,
    variant: &'static Variant,
    /// Bytes of flash that the library takes for the calls of a device, with all that it pulls in.
    flash: u64,
    /// The same for all that `main.c` uses.
    flash_whole: u64,
    /// Bytes of `.data` and `.bss` in the library.
    static_ram: u64,
    /// Bytes of `e4_client`, and of a place in its table.
    client: u64,
    key_place: u64,
    /// For each call of `main.c`: bytes of stack, instructions.
    calls: BTreeMap<String, (u64, u64)>,
    /// What the images must not contain, and do.
    faults: Vec<String>,
}

impl Measured {
    fn stack(&self, call: &str) -> u64 {
        self.calls.get(call).map_or(0, |(stack, _)| *stack)
    }

    fn instructions(&self, call: &str) -> u64 {
        self.calls.get(call).map_or(0, |(_, instructions)| *instructions)
    }

    /// What is measured against a limit.
    fn against(&self) -> [(&'static str, u64, u64); 4] {
        let limits = &self.variant.limits;
        let stack = self.stack("protect").max(self.stack("unprotect"));
        [
            ("flash", self.flash, limits.flash),
            ("stack", stack, limits.stack),
            ("instructions of protect", self.instructions("protect"), limits.protect),
            ("instructions of unprotect", self.instructions("unprotect"), limits.unprotect),
        ]
    }

    /// What is more than it may be; numbers on the one processor that has limits.
    fn excesses(&self) -> Vec<String> {
        let mut excesses = self.faults.clone();
        if self.board.is_measure {
            let over = self.against().into_iter().filter(|(_, is, limit)| is > limit);
            excesses.extend(over.map(|(what, is, limit)| {
                format!("{}: {what} {is}, limit {limit}", self.variant.name)
            }));
        }
        excesses
    }

    fn report(&self) -> Value {
        let calls = self.calls.iter().map(|(call, (stack, instructions))| {
            (call.clone(), json!({ "stack": stack, "instructions": instructions }))
        });
        json!({
            "target": self.board.triple,
            "processor": self.board.name,
            "variant": self.variant.name,
            "flash": self.flash,
            "flash_of_example": self.flash_whole,
            "static_ram": self.static_ram,
            "client": self.client,
            "key_place": self.key_place,
            "record_max": 398,
            "record_of_key": 126,
            "calls": calls.collect::<serde_json::Map<_, _>>(),
        })
    }
}

const HELP: &str = "\
Builds the C library for microcontrollers, runs examples/firmware on emulated ones, and measures.

usage: cargo xtask firmware [--install] [PROCESSOR...]

  --install   first install what is missing (Debian; cargo xtask tools firmware does that alone)
  PROCESSOR   Cortex-M0, Cortex-M3, Cortex-M4F, RV32IMAC; all if none is named

The table is also written to target/firmware/report.json.
example: cargo xtask firmware Cortex-M3";

/// Everything, on the named boards or all; with `--install`, what is missing is installed first.
pub fn firmware(arguments: &[&str]) -> Result<(), String> {
    if arguments.iter().any(|argument| matches!(*argument, "--help" | "-h")) {
        println!("{HELP}");
        return Ok(());
    }
    if arguments.contains(&"--install") {
        tools::install()?;
    }
    let names: Vec<&str> = arguments.iter().copied().filter(|name| *name != "--install").collect();
    if let Some(unknown) = names.iter().find(|name| !BOARDS.iter().any(|at| at.name == **name)) {
        let known: Vec<&str> = BOARDS.iter().map(|board| board.name).collect();
        return Err(format!("no such processor: {unknown}\nhint: {}", known.join(", ")));
    }
    let is_meant = |board: &&Board| names.is_empty() || names.contains(&board.name);
    let boards: Vec<&Board> = BOARDS.iter().filter(is_meant).collect();
    match all(&boards, &VARIANTS.iter().collect::<Vec<_>>())? {
        Outcome::Passed(_) => Ok(()),
        Outcome::Skipped(reason) | Outcome::NotHere(reason) => Err(reason),
    }
}

/// The stage of the tests: the two processors that differ most. It asks for half a gigabyte of
/// compilers and emulators, so it may be left out even where everything else is required.
pub fn stage() -> Stage {
    let boards: Vec<&Board> = BOARDS.iter().filter(|board| board.is_tested).collect();
    all(&boards, &VARIANTS.iter().take(2).collect::<Vec<_>>())
}

fn all(boards: &[&'static Board], variants: &[&'static Variant]) -> Stage {
    if let Some(missing) = tools::missing() {
        return Ok(Outcome::NotHere(missing));
    }
    let checks = image::on_host()?;
    let mut measured = Vec::new();
    for board in boards {
        let tools = Tools::find(board)?;
        for variant in variants {
            measured.push(image::measure(board, variant, &tools)?);
        }
    }
    let secrets = secrets::check()?;
    table(&measured);
    let report: Vec<Value> = measured.iter().map(Measured::report).collect();
    let path = target().join("firmware/report.json");
    let text = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
    std::fs::write(&path, text + "\n").map_err(|error| format!("{}: {error}", path.display()))?;
    println!("\nwritten: {}", path.display());
    let excesses: Vec<String> = measured.iter().flat_map(Measured::excesses).collect();
    if !excesses.is_empty() {
        return Err(excesses.join("\n       "));
    }
    Ok(Outcome::Passed(format!("{} images, {checks} on the host, {secrets}", measured.len())))
}

fn table(measured: &[Measured]) {
    println!(
        "\n{:<11} {:<18} {:>7} {:>5} {:>7} {:>7} {:>9} {:>10} {:>9} {:>9}",
        "processor",
        "variant",
        "flash",
        "RAM",
        "client",
        "key",
        "stack",
        "(command)",
        "protect",
        "unprotect"
    );
    for row in measured {
        let stack = row.stack("protect").max(row.stack("unprotect"));
        println!(
            "{:<11} {:<18} {:>7} {:>5} {:>7} {:>7} {:>9} {:>10} {:>9} {:>9}",
            row.board.name,
            row.variant.name,
            row.flash,
            row.static_ram,
            row.client,
            row.key_place,
            stack,
            row.stack("command"),
            row.instructions("protect"),
            row.instructions("unprotect"),
        );
    }
    println!(
        "bytes; instructions for a message of 64 bytes; RAM is what the library has for itself"
    );
}
