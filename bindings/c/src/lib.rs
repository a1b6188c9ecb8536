// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `libe4.a`: the C ABI of `include/e4.h`.
#![cfg_attr(not(feature = "std"), no_std)]

pub use e4::capi::*;

/// Where unwinding has nowhere to go: stand still until the watchdog bites. Not inlined, so that the
/// linked image shows by its absence that no panic can be reached (`cargo xtask firmware`).
#[cfg(not(feature = "std"))]
#[panic_handler]
#[inline(never)]
fn halt(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
