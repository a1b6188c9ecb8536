// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The network interface: gRPC, and the same as HTTP/JSON.

pub mod pb;
