// SPDX-License-Identifier: Apache-2.0 OR MIT
//! UniFFI's generator, of the version that the library is built with.

fn main() {
    uniffi::uniffi_bindgen_main();
}
