// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `libe4.so`: the C ABI of `include/e4.h`.

pub use e4::capi::*;
