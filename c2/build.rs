// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Makes Rust of `proto/`, without a `protoc` of the system. The descriptors go into the binary as
//! well: routes, permissions and the OpenAPI document are read from them.

use std::path::PathBuf;

/// Messages that hold keys, passwords, tokens or what devices say.
const SECRET: [&str; 9] = [
    "NewClientRequest",
    "NewClientResponse",
    "Result",
    "CreateTokenResponse",
    "ChangePassphraseRequest",
    "ProtectMessageRequest",
    "UnprotectMessageResponse",
    "BackupChunk",
    "ProtectMessageResponse",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(["c2.proto", "automation.proto"])?;
    std::fs::write(out.join("c2.bin"), compiler.encode_file_descriptor_set())?;
    let mut config = tonic_prost_build::Config::new();
    // Keys are in them: how they are printed is written by hand.
    config.skip_debug(SECRET.map(|name| format!(".pb.{name}")));
    tonic_prost_build::configure()
        .compile_fds_with_config(compiler.file_descriptor_set(), config)?;
    Ok(())
}
