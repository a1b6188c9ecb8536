// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The pages: who sees them, who may post, what they say to browsers, what they never show.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../common/mod.rs"]
mod common;
mod doors;
mod pages;
mod visitor;
