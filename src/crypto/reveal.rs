// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The places where something that was computed from a secret may decide what happens next.
//!
//! There are few, and each says so: whether a tag fits, whether a key is all zero or is the one
//! that is held already, which command a command is. Everything else that depends on a secret
//! decides no branch and no address. The tests check that on the machine code: with
//! `--cfg e4_reveal`, valgrind is told what is revealed here and takes all other uses for errors
//! (`cargo xtask firmware`).

/// `value`, which from here on is no secret.
#[inline(always)]
pub(crate) fn reveal<T: Copy>(value: T) -> T {
    #[cfg(all(e4_reveal, feature = "capi"))]
    let value = crate::capi::reveal(value);
    value
}
