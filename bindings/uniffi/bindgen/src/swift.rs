// SPDX-License-Identifier: Apache-2.0 OR MIT
//! UniFFI's generator for Swift packages: sources, header and module map one by one.

fn main() {
    uniffi::uniffi_bindgen_swift();
}
