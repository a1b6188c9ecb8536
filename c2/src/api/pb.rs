// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Messages, server and client of `proto/c2.proto`, as they are generated.
#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::restriction)]

tonic::include_proto!("pb");

/// The descriptors of the interface, with comments, permissions and routes.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/c2.bin"));
