// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The processors, the boards that QEMU has of them, the variants of the library, the limits.

/// A processor and a board with it.
pub struct Board {
    /// What Rust calls the target.
    pub triple: &'static str,
    /// What people call it.
    pub name: &'static str,
    /// How GNU's tools for it start.
    pub prefix: &'static str,
    /// For the C compiler.
    pub cflags: &'static [&'static str],
    /// For linking.
    pub libc: &'static [&'static str],
    /// The source of `examples/firmware` that starts it, and its linker script.
    pub start: &'static str,
    pub script: &'static str,
    /// The emulator and its arguments.
    pub emulator: &'static [&'static str],
    /// The limits are for this one.
    pub is_measure: bool,
    /// It is part of `cargo xtask test`.
    pub is_tested: bool,
}

const NEWLIB: &[&str] = &["--specs=nano.specs"];

pub const BOARDS: &[Board] = &[
    Board {
        triple: "thumbv6m-none-eabi",
        name: "Cortex-M0",
        prefix: "arm-none-eabi-",
        cflags: &["-mcpu=cortex-m0", "-mthumb", "-DCLOCK_MHZ=16"],
        libc: NEWLIB,
        start: "cortex_m.c",
        script: "cortex_m.ld",
        emulator: &["qemu-system-arm", "-M", "microbit"],
        is_measure: false,
        is_tested: false,
    },
    Board {
        triple: "thumbv7m-none-eabi",
        name: "Cortex-M3",
        prefix: "arm-none-eabi-",
        cflags: &["-mcpu=cortex-m3", "-mthumb"],
        libc: NEWLIB,
        start: "cortex_m.c",
        script: "cortex_m.ld",
        emulator: &["qemu-system-arm", "-M", "mps2-an385"],
        is_measure: true,
        is_tested: true,
    },
    Board {
        triple: "thumbv7em-none-eabihf",
        name: "Cortex-M4F",
        prefix: "arm-none-eabi-",
        cflags: &[
            "-mcpu=cortex-m4",
            "-mthumb",
            "-mfloat-abi=hard",
            "-mfpu=fpv4-sp-d16",
            "-DHAS_FPU",
        ],
        libc: NEWLIB,
        start: "cortex_m.c",
        script: "cortex_m.ld",
        emulator: &["qemu-system-arm", "-M", "mps2-an386"],
        is_measure: false,
        is_tested: false,
    },
    Board {
        triple: "riscv32imac-unknown-none-elf",
        name: "RV32IMAC",
        prefix: "riscv64-unknown-elf-",
        cflags: &["-march=rv32imac", "-mabi=ilp32", "-msmall-data-limit=8"],
        libc: &["--specs=picolibc.specs"],
        start: "riscv.c",
        script: "riscv.ld",
        emulator: &["qemu-system-riscv32", "-M", "virt", "-bios", "none"],
        is_measure: false,
        is_tested: true,
    },
];

/// A way to build the library.
pub struct Variant {
    pub name: &'static str,
    /// Features of `bindings/c`.
    pub features: &'static str,
    /// For the C compiler.
    pub define: Option<&'static str>,
    /// On the Cortex-M3, for a message of 64 bytes.
    pub limits: Limits,
    /// Cargo's settings for it, besides those of the workspace.
    pub config: Option<&'static str>,
}

/// What must not be exceeded.
pub struct Limits {
    pub flash: u64,
    pub stack: u64,
    pub protect: u64,
    pub unprotect: u64,
}

pub const VARIANTS: &[Variant] = &[
    Variant {
        name: "symmetric",
        features: "",
        define: None,
        limits: Limits { flash: 10_000, stack: 1_000, protect: 125_000, unprotect: 125_000 },
        config: None,
    },
    Variant {
        name: "public key",
        features: "pubkey",
        define: Some("-DPUBLIC_KEY"),
        limits: Limits { flash: 27_800, stack: 7_600, protect: 1_800_000, unprotect: 1_800_000 },
        config: None,
    },
    Variant {
        name: "public key, tables",
        features: "pubkey,tables",
        define: Some("-DPUBLIC_KEY"),
        limits: Limits { flash: 59_000, stack: 7_600, protect: 800_000, unprotect: 1_800_000 },
        config: Some(".cargo/tables.toml"),
    },
];
