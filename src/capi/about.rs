// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The library.

use core::ffi::c_char;

use super::sizes::E4_ABI;
use crate::error::Error;

/// The version of the library as a number: major * 65536 + minor * 256 + patch.
#[unsafe(no_mangle)]
#[must_use]
pub extern "C" fn e4_version() -> u32 {
    const fn number(text: &str) -> u32 {
        match u32::from_str_radix(text, 10) {
            Ok(number) => number,
            Err(_) => 0,
        }
    }
    const MAJOR: u32 = number(env!("CARGO_PKG_VERSION_MAJOR"));
    const MINOR: u32 = number(env!("CARGO_PKG_VERSION_MINOR"));
    const PATCH: u32 = number(env!("CARGO_PKG_VERSION_PATCH"));
    (MAJOR << 16) | (MINOR << 8) | PATCH
}

/// The version of the library as text: "0.1.0". It stays valid for ever.
#[unsafe(no_mangle)]
#[must_use]
pub extern "C" fn e4_version_text() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The number of the library's ABI. Where it is not E4_ABI of the header that a program was compiled
/// with, the program must not go on.
#[unsafe(no_mangle)]
#[must_use]
pub extern "C" fn e4_abi() -> u32 {
    E4_ABI
}

/// What a result means, in one line of English without a full stop: "authentication failed: altered
/// message or wrong key". "success" from 0 up, "unknown error" for a number that the library does
/// not know; never NULL. It stays valid for ever.
#[unsafe(no_mangle)]
#[must_use]
pub extern "C" fn e4_error_text(result: i32) -> *const c_char {
    let text = match Error::from_number(result) {
        Some(error) => error.text_nul(),
        None if result >= 0 => "success\0",
        None => "unknown error\0",
    };
    text.as_ptr().cast()
}
