// SPDX-License-Identifier: Apache-2.0 OR MIT
//! SHA-512 (FIPS 180-4) for microcontrollers, over the compression of `sha2`: one copy of everything
//! around it, and wiped.

use sha2::block_api::compress512;

use super::scalar::Wide;
use crate::bytes::wipe;

const BLOCK_LEN: usize = 128;

/// Section 5.3.5.
const INITIAL: [u64; 8] = [
    0x6a09e667f3bcc908,
    0xbb67ae8584caa73b,
    0x3c6ef372fe94f82b,
    0xa54ff53a5f1d36f1,
    0x510e527fade682d1,
    0x9b05688c2b3e6c1f,
    0x1f83d9abfb41bd6b,
    0x5be0cd19137e2179,
];

struct Sha512 {
    state: [u64; 8],
    block: [u8; BLOCK_LEN],
    len: usize,
}

/// SHA-512 of the parts, one after the other.
#[cfg_attr(not(feature = "std"), inline(never))]
pub fn sha512(parts: &[&[u8]]) -> Wide {
    let mut hash = Sha512 { state: INITIAL, block: [0; BLOCK_LEN], len: 0 };
    parts.iter().for_each(|part| hash.update(part));
    let bits = 8 * hash.len as u128;
    // A one bit, zeros, and the number of bits as 16 bytes at the end of a block.
    hash.update(&[0x80]);
    while hash.len % BLOCK_LEN != BLOCK_LEN - 16 {
        hash.update(&[0]);
    }
    hash.update(&bits.to_be_bytes());
    let mut out = Wide::default();
    let words = out.as_flattened_mut().as_chunks_mut().0;
    words.iter_mut().zip(&hash.state).for_each(|(to, word)| *to = word.to_be_bytes());
    out
}

impl Sha512 {
    fn update(&mut self, part: &[u8]) {
        for byte in part {
            if let Some(to) = self.block.get_mut(self.len % BLOCK_LEN) {
                *to = *byte;
            }
            self.len += 1;
            if self.len.is_multiple_of(BLOCK_LEN) {
                compress512(&mut self.state, core::slice::from_ref(&self.block));
            }
        }
    }
}

impl Drop for Sha512 {
    fn drop(&mut self) {
        wipe(&mut self.block);
        zeroize::Zeroize::zeroize(&mut self.state);
    }
}
