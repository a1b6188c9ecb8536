// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What every record of a client has: bytes with keys among them, and a check at the end.
//!
//! The last 8 bytes of a record are the start of SHA3-256 over the record number (4 bytes,
//! little-endian) and everything before them, its body.

use zeroize::ZeroizeOnDrop;

use crate::bytes::wipe;
use crate::crypto::hash::hash_into;
use crate::crypto::reveal;
use crate::error::{Error, Result};

/// Length of the check of a record.
pub const CHECK_LEN: usize = 8;

/// Room for a record of up to `N` bytes, wiped when dropped.
pub struct Record<const N: usize>(pub [u8; N]);

impl<const N: usize> Record<N> {
    pub const EMPTY: Self = Self([0; N]);
}

impl<const N: usize> Drop for Record<N> {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl<const N: usize> ZeroizeOnDrop for Record<N> {}

/// Writes the check of a record at its end, behind the body.
pub fn add_check(number: u32, record: &mut [u8]) {
    if let Some((body, place)) = record.split_last_chunk_mut::<CHECK_LEN>() {
        check(number, body, place);
    }
}

/// The length of the body of a record whose check fits, never 0.
///
/// # Errors
/// [`Error::StateCorrupt`].
pub fn body_of(number: u32, record: &[u8]) -> Result<usize> {
    let mut expected = [0; CHECK_LEN];
    match record.split_last_chunk() {
        Some((body @ [_, ..], stored)) => {
            check(number, body, &mut expected);
            let is_good = reveal(*stored) == reveal(expected);
            if is_good { Ok(body.len()) } else { Err(Error::StateCorrupt) }
        }
        _ => Err(Error::StateCorrupt),
    }
}

#[cfg_attr(not(feature = "std"), inline(never))]
fn check(number: u32, body: &[u8], check: &mut [u8; CHECK_LEN]) {
    hash_into(&[&number.to_le_bytes(), body], check);
}
