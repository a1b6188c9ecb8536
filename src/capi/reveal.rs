// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a test is told of secrets that become public; never part of a library in use.

unsafe extern "C" {
    /// Of the test: these bytes are no secret any more.
    fn e4_reveal(bytes: *mut u8, len: usize);
}

/// The value, after the test was told.
pub(crate) fn reveal<T: Copy>(mut value: T) -> T {
    // SAFETY: the bytes of the value; the test changes none of them.
    unsafe { e4_reveal((&raw mut value).cast(), size_of::<T>()) };
    value
}
