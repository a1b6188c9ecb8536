// SPDX-License-Identifier: Apache-2.0 OR MIT
//! SHA3-256 (FIPS 202) for microcontrollers: small, in place, without tables of rotations and
//! constants.
//!
//! With `std` the `sha3` crate is used and this is not. Over the permutation of the `keccak` crate it
//! takes 400 bytes more of flash, and 7,000 instructions more for a short text. The tests compare the
//! two.

use zeroize::ZeroizeOnDrop;

use crate::bytes::{copy, wipe};

/// Bytes that are absorbed between two permutations.
const RATE: usize = 136;
/// Half a lane, the lower one first.
type Word = [u8; 4];
/// Five lanes.
type Row = [Word; 10];

/// SHA3-256 in steps.
// Aligned, so that a processor that must be asked so reads words whole.
#[derive(Default)]
#[repr(align(4))]
pub(crate) struct Sha3 {
    rows: [Row; 5],
    /// How many bytes of the block were absorbed.
    at: usize,
}

/// What was hashed may be a key, and a permutation can be turned back.
impl Drop for Sha3 {
    fn drop(&mut self) {
        wipe(self.bytes());
    }
}

impl ZeroizeOnDrop for Sha3 {}

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

    /// The start of the hash, up to 32 bytes; it may be taken once.
    #[inline(never)]
    pub fn end(&mut self, hash: &mut [u8]) {
        self.absorb(0x06);
        self.at = RATE - 1;
        self.absorb(0x80);
        self.permute();
        copy(hash, self.bytes());
    }

    fn bytes(&mut self) -> &mut [u8] {
        self.rows.as_flattened_mut().as_flattened_mut()
    }

    /// Adds a byte where the next one stands.
    fn absorb(&mut self, byte: u8) {
        let at = self.at;
        if let Some(place) = self.bytes().get_mut(at) {
            *place ^= byte;
        }
    }

    /// Keccak-f[1600] (FIPS 202 section 3), with the names of its steps.
    #[inline(never)]
    fn permute(&mut self) {
        self.at = 0;
        let mut sums = [0; 20];
        for constant in &CONSTANTS {
            theta(&mut self.rows, &mut sums);
            rho_and_pi(&mut self.rows);
            self.rows.iter_mut().for_each(chi);
            iota(&mut self.rows, u32::from(*constant));
        }
    }
}

/// Adds to each lane the sums of the columns beside it, one of them rotated.
fn theta(rows: &mut [Row; 5], sums: &mut [u32; 20]) {
    // Twice the same, so that those after the last are the first again.
    let [a, b, c, d, e] = &*rows;
    let (first, again) = sums.split_at_mut(10);
    for (at, (first, again)) in first.iter_mut().zip(again).enumerate() {
        let of = |row: &Row| row.get(at).map_or(0, value);
        *first = of(a) ^ of(b) ^ of(c) ^ of(d) ^ of(e);
        *again = *first;
    }
    let of = |at: usize| sums.get(at).copied().unwrap_or_default();
    for at in 0..10 {
        let sum = of(at + 8) ^ (of(at + 2) << 1) ^ (of((at + 2) ^ 1) >> 31);
        rows.iter_mut().filter_map(|row| row.get_mut(at)).for_each(|word| add(word, sum));
    }
}

/// Rotates each lane, by the triangular numbers, and moves it to the place of the next one.
fn rho_and_pi(rows: &mut [Row; 5]) {
    /// The way of a lane, which begins and ends at lane 1.
    const WAY: &[u8; 24] =
        &[10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4, 15, 23, 19, 13, 12, 2, 20, 14, 22, 9, 6, 1];
    let lanes = rows.as_flattened_mut().as_flattened_mut().as_chunks_mut().0;
    let mut moved = lanes.get(1).map_or(0, |lane| u64::from_le_bytes(*lane));
    let mut rotation = 0;
    for (step, place) in (1..).zip(WAY) {
        rotation += step;
        if let Some(lane) = lanes.get_mut(usize::from(*place)) {
            let here = u64::from_le_bytes(*lane);
            *lane = moved.rotate_left(rotation).to_le_bytes();
            moved = here;
        }
    }
}

/// Adds to each lane of a row the next but one where the next one is 0.
fn chi(row: &mut Row) {
    for half in 0..2 {
        let words = row.get_mut(half..).and_then(<[Word]>::first_chunk_mut);
        if let Some([a, _, b, _, c, _, d, _, e]) = words {
            let [v, w, x, y, z] = [value(a), value(b), value(c), value(d), value(e)];
            add(a, !w & x);
            add(b, !x & y);
            add(c, !y & z);
            add(d, !z & v);
            add(e, !v & w);
        }
    }
}

/// The constants of the rounds: bits 0, 1, 3 and 7 in their places, bits 15, 31 and 63 as 4, 5 and 6.
const CONSTANTS: [u8; 24] = [
    0x01, 0x92, 0xda, 0x70, 0x9b, 0x21, 0xf1, 0x59, 0x8a, 0x88, 0x39, 0x2a, 0xbb, 0xcb, 0xd9, 0x53,
    0x52, 0xc0, 0x1a, 0x6a, 0xf1, 0xd0, 0x21, 0x78,
];

/// Adds the constant of the round.
fn iota(rows: &mut [Row; 5], constant: u32) {
    let [[low, high, ..], ..] = rows;
    add(low, constant & 0x8b | (constant & 0x10) << 11 | (constant & 0x20) << 26);
    add(high, (constant & 0x40) << 25);
}

fn value(word: &Word) -> u32 {
    u32::from_le_bytes(*word)
}

fn add(word: &mut Word, other: u32) {
    *word = (value(word) ^ other).to_le_bytes();
}
