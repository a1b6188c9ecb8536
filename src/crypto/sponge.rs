// SPDX-License-Identifier: Apache-2.0 OR MIT
//! SHA3-256 (FIPS 202) for microcontrollers: byte by byte over the permutation of the `keccak` crate.
//! With `std` the `sha3` crate is used, which absorbs whole blocks and takes 200 bytes more of flash.
//! The tests compare the two.

use keccak::Keccak;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::bytes::{field, wipe};

/// Bytes that are absorbed between two permutations.
const RATE: usize = 136;

/// SHA3-256 in steps.
pub(crate) struct Sha3 {
    state: [u8; 200],
    /// How many bytes of the block were absorbed.
    at: usize,
}

/// What was hashed may be a key, and a permutation can be turned back.
impl Drop for Sha3 {
    fn drop(&mut self) {
        wipe(&mut self.state);
    }
}

impl ZeroizeOnDrop for Sha3 {}

impl Default for Sha3 {
    fn default() -> Self {
        Self { state: [0; 200], at: 0 }
    }
}

impl Sha3 {
    #[inline(never)]
    pub fn update(&mut self, part: &[u8]) {
        for byte in part {
            self.absorb(*byte);
            self.at += 1;
            if self.at == RATE {
                self.permute();
            }
        }
    }

    /// The hash; it may be taken once.
    #[inline(never)]
    pub fn end(&mut self) -> [u8; 32] {
        self.absorb(0x06);
        self.at = RATE - 1;
        self.absorb(0x80);
        self.permute();
        *field(&self.state, 0)
    }

    /// Adds a byte where the next one stands.
    fn absorb(&mut self, byte: u8) {
        if let Some(place) = self.state.get_mut(self.at) {
            *place ^= byte;
        }
    }

    #[inline(never)]
    fn permute(&mut self) {
        let mut lanes = Zeroizing::new([0; 25]);
        for (lane, bytes) in lanes.iter_mut().zip(self.state.as_chunks().0) {
            *lane = u64::from_le_bytes(*bytes);
        }
        Keccak::new().with_f1600(|permute| permute(&mut lanes));
        for (lane, bytes) in lanes.iter().zip(self.state.as_chunks_mut().0) {
            *bytes = lane.to_le_bytes();
        }
        self.at = 0;
    }
}
