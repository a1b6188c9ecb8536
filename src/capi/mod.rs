// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The C ABI. `include/e4.h` is made of the files here, in its order, and is its documentation.
//!
//! The duties of a caller stand in words above each function, not under a heading of their own,
//! since every word here lands in the header. What can be checked is checked in `raw`: NULL,
//! alignment, overlap, a client that is not open. What cannot is that memory of the given length
//! exists and that calls on one client follow one another.

#![allow(clippy::missing_safety_doc)]
#![allow(non_camel_case_types)]
// Fields that speak for themselves would only crowd the header.
#![allow(missing_docs)]

mod about;
mod client;
mod commands;
#[cfg(feature = "std")]
mod file;
mod keys;
mod messages;
mod names;
mod provision;
mod raw;
#[cfg(e4_reveal)]
mod reveal;
mod sizes;
mod storage;
mod types;

pub use about::*;
pub use client::*;
pub use commands::*;
#[cfg(feature = "std")]
pub use file::*;
pub use keys::*;
pub use messages::*;
pub use names::*;
pub use provision::*;
#[cfg(e4_reveal)]
pub(crate) use reveal::reveal;
pub use sizes::*;
pub use storage::*;
pub use types::*;
