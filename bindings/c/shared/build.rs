// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The soname, which cargo does not give by itself. Its number is `E4_ABI` of the header.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let system = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    match system.as_str() {
        "linux" | "android" | "freebsd" | "netbsd" | "openbsd" => {
            println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libe4.so.0");
        }
        "macos" => {
            println!("cargo::rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libe4.0.dylib");
        }
        _ => {}
    }
}
