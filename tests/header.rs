// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `include/e4.h` is what `src/capi` and the error table say.
#![cfg(feature = "capi")]

use e4::Error;

const COMMITTED: &str = include_str!("../include/e4.h");
const MADE: &str = include_str!(concat!(env!("OUT_DIR"), "/e4.h"));

/// In a checkout build.rs has just brought it up to date, and `cargo xtask test c` asks git whether
/// that changed it; from a package this is the check.
#[test]
fn is_not_stale() {
    assert!(COMMITTED == MADE, "include/e4.h is stale: build with --features capi and commit it");
}

#[test]
fn has_every_error_under_its_number() {
    for error in Error::ALL {
        let mut name = String::new();
        for letter in error.name().chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(letter.to_ascii_uppercase());
        }
        let line = format!("\n#define E4_ERROR_{name} ({})\n", error.number());
        assert!(COMMITTED.contains(&line), "{line}");
    }
    assert_eq!(COMMITTED.matches("\n#define E4_ERROR_").count(), Error::ALL.len());
}

#[test]
fn has_the_version_of_the_package() {
    let line = format!("\n#define E4_VERSION \"{}\"\n", env!("CARGO_PKG_VERSION"));
    assert!(COMMITTED.contains(&line));
}

/// A contract stands above every function.
#[test]
fn explains_every_function() {
    let lines: Vec<&str> = COMMITTED.lines().collect();
    let mut functions = 0;
    for (number, line) in lines.iter().enumerate() {
        let declares = line.contains("int32_t e4_") || line.starts_with("void e4_");
        if declares && line.contains('(') && !line.starts_with("//") && !line.starts_with("typedef")
        {
            functions += 1;
            let before = lines[..number].iter().rev().find(|line| **line != "E4_NODISCARD");
            assert!(before.is_some_and(|line| line.starts_with("//")), "{line}");
        }
    }
    assert!(functions > 40, "{functions}");
}

/// Each text is what the table says, with a NUL at its end.
#[test]
fn texts_end() {
    for error in Error::ALL {
        let text = e4::capi::e4_error_text(error.number());
        assert_eq!(read(text), error.text());
    }
    assert_eq!(read(e4::capi::e4_error_text(0)), "success");
    assert_eq!(read(e4::capi::e4_error_text(-1)), "unknown error");
}

#[allow(unsafe_code)]
fn read(text: *const std::ffi::c_char) -> &'static str {
    // SAFETY: a NUL ends it, and it lives for ever, as the header says.
    unsafe { std::ffi::CStr::from_ptr(text) }.to_str().unwrap_or("not UTF-8")
}
