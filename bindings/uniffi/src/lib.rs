// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The core's Rust API for UniFFI: what the packages `io.e4` (Kotlin) and `E4` (Swift) wrap.
//!
//! Names, ids and times are plain here (bytes, numbers); the packages give them types. What apps
//! see, and its documentation, is in `bindings/kotlin` and `bindings/swift`.

mod client;
mod command;
mod failure;
mod keys;
mod message;
mod names;
mod primitives;
mod slot;
mod storage;

uniffi::setup_scaffolding!("e4");
