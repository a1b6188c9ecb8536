// SPDX-License-Identifier: Apache-2.0 OR MIT
//! AES-256 encryption (FIPS 197) for microcontrollers: small, without tables, in constant time.
//!
//! Where `std` is on, the `aes` crate is used and this is not. It stands here for what the small
//! software cipher of that crate cannot give. Its prepared key has 960 bytes where this one has 240,
//! so that a message took 3,340 bytes of stack instead of 1,640 (Cortex-M3, when one was exchanged
//! for the other); it encrypts one block at a time where 32-bit registers have room for two; and it
//! leaves a bounds check, and so a panic, in the linked image. The tests compare the two over random
//! keys and blocks. What can be a loop is one: unrolled, it took 400 bytes more and 12,000 instructions
//! less.
//!
//! Bitslicing after Käsper and Schwabe: bit `i` of all 32 bytes of two blocks stands in word `i`,
//! so that every step is a handful of logical operations on whole words. No secret decides a
//! branch or an address.

use zeroize::ZeroizeOnDrop;

use crate::bytes::{copy, wipe};
use crate::sizes::KEY_LEN;

type Block = [u8; 16];
/// A quarter of a block.
type Word = [u8; 4];
/// Two blocks: four words of each in turn, or bit by bit.
type State = [u32; 8];

/// In a bitsliced word, the bits of the first block; the others are the second's.
const FIRST: u32 = 0x5555_5555;
/// One for each of 14 rounds, and one before them.
const ROUND_KEYS: usize = 15;

/// A key made ready, wiped when dropped.
// Aligned, so that a processor that must be asked so reads words whole.
#[repr(align(4))]
pub struct Aes256 {
    /// Bitsliced, and folded: of two words that are the same for both blocks, half of each.
    round_keys: [[Word; 4]; ROUND_KEYS],
}

impl Drop for Aes256 {
    #[cfg_attr(not(feature = "std"), inline(never))]
    fn drop(&mut self) {
        wipe(self.round_keys.as_flattened_mut().as_flattened_mut());
    }
}

impl ZeroizeOnDrop for Aes256 {}

impl Aes256 {
    pub(crate) const EMPTY: Self = Self { round_keys: [[[0; 4]; 4]; ROUND_KEYS] };

    /// Makes a key ready.
    pub fn new(key: &[u8; KEY_LEN]) -> Self {
        let mut aes = Self::EMPTY;
        aes.set(key);
        aes
    }

    pub(crate) fn set(&mut self, key: &[u8; KEY_LEN]) {
        // In the key schedule each word follows from the one before and the one eight before;
        // here they are taken in fours.
        let mut words = [Word::default(); 8];
        copy(words.as_flattened_mut(), key);
        let (mut this, mut next) = words.split_at_mut(4);
        let mut constant = 1;
        for (number, round_key) in self.round_keys.iter_mut().enumerate() {
            fold(this, round_key);
            if number + 2 < ROUND_KEYS {
                let last = u32::from_le_bytes(next.last().copied().unwrap_or_default());
                let mut word = if number % 2 == 0 {
                    let word = sub_word(last.rotate_right(8)) ^ constant;
                    constant <<= 1;
                    word
                } else {
                    sub_word(last)
                };
                for place in this.iter_mut() {
                    word ^= u32::from_le_bytes(*place);
                    *place = word.to_le_bytes();
                }
            }
            core::mem::swap(&mut this, &mut next);
        }
        wipe(words.as_flattened_mut());
    }

    /// Encrypts two blocks.
    #[inline(never)]
    pub fn encrypt(&self, blocks: &mut [Block; 2]) {
        let mut state = [0; 8];
        let [first, second] = blocks;
        for (pair, (first, second)) in
            state.as_chunks_mut().0.iter_mut().zip(words(first).zip(words(second)))
        {
            *pair = [first, second];
        }
        transpose(&mut state);
        for (number, round_key) in self.round_keys.iter().enumerate() {
            if number > 0 {
                sub_bytes(&mut state);
                shift_rows(&mut state);
                if number < ROUND_KEYS - 1 {
                    mix_columns(&mut state);
                }
            }
            add_round_key(&mut state, round_key);
        }
        transpose(&mut state);
        let [first, second] = blocks;
        let places = first.as_chunks_mut().0.iter_mut().zip(second.as_chunks_mut().0);
        for ([a, b], (first, second)) in state.as_chunks().0.iter().zip(places) {
            *first = a.to_le_bytes();
            *second = b.to_le_bytes();
        }
    }
}

fn words(block: &Block) -> impl Iterator<Item = u32> {
    block.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes))
}

/// From words to bits and back: bit `i` of byte `j` of word `w` goes to bit `w` of byte `j` of
/// word `i`. Each word exchanges bits with one at a distance of 4, then 2, then 1.
#[inline(never)]
fn transpose(state: &mut State) {
    let (mut distance, mut low) = (4_usize, 0x0f0f_0f0f_u32);
    while distance > 0 {
        for number in 0..4 {
            let first = (number + (number & distance.wrapping_neg())) & 7;
            let second = (first + distance) & 7;
            let of = |at: usize| state.get(at).copied().unwrap_or_default();
            let (a, b) = (of(first), of(second));
            let differ = ((a >> distance) ^ b) & low;
            put(state, first, a ^ (differ << distance));
            put(state, second, b ^ differ);
        }
        distance /= 2;
        low ^= low << distance;
    }
}

/// Writes a word; the place is in bounds.
fn put(state: &mut State, at: usize, value: u32) {
    state.get_mut(at).into_iter().for_each(|word| *word = value);
}

/// The four words of a round key for both blocks, bitsliced, then folded.
fn fold(words: &[Word], folded: &mut [Word; 4]) {
    let mut state = [0; 8];
    for (pair, word) in state.as_chunks_mut().0.iter_mut().zip(words) {
        *pair = [u32::from_le_bytes(*word); 2];
    }
    transpose(&mut state);
    for (to, [even, odd]) in folded.iter_mut().zip(state.as_chunks().0) {
        *to = ((even & FIRST) | (odd & !FIRST)).to_le_bytes();
    }
}

fn add_round_key(state: &mut State, folded: &[Word; 4]) {
    for ([even, odd], key) in state.as_chunks_mut().0.iter_mut().zip(folded) {
        let key = u32::from_le_bytes(*key);
        let (first, second) = (key & FIRST, key & !FIRST);
        *even ^= first | (first << 1);
        *odd ^= second | (second >> 1);
    }
}

/// Row `r` of the columns is byte `r` of the words, two bits for each column; it turns by `r`
/// columns: first some columns change places over a distance of two, then over one.
fn shift_rows(state: &mut State) {
    fn swap(word: u32, low: u32, shift: u32) -> u32 {
        let differ = ((word >> shift) ^ word) & low;
        word ^ differ ^ (differ << shift)
    }
    for word in state {
        *word = swap(swap(*word, 0x0c0f_0300, 4), 0x3300_3300, 2);
    }
}

/// Twice a byte, three times the next one, and the two after. What is doubled is the byte and the
/// next together; that moves their bits up a word, and reduces by the highest.
fn mix_columns(state: &mut State) {
    let [.., last] = *state;
    let highest = last ^ last.rotate_right(8);
    let mut lower = highest;
    // Which bits x^4 + x^3 + x + 1 has but for the lowest, which `lower` begins with.
    let mut reduced = 0b0001_1010_u32;
    for word in state {
        let next = word.rotate_right(8);
        let both = *word ^ next;
        *word = lower ^ (highest & (reduced & 1).wrapping_neg()) ^ next ^ both.rotate_right(16);
        lower = both;
        reduced >>= 1;
    }
}

/// The S-box of four bytes. Of each word of the state only the lowest bits of the bytes count.
fn sub_word(word: u32) -> u32 {
    const LOWEST: u32 = 0x0101_0101;
    let mut state = core::array::from_fn(|bit| word >> bit);
    sub_bytes(&mut state);
    (0..).zip(&state).fold(0, |word, (bit, bits)| word | (bits & LOWEST) << bit)
}

/// The S-box of all bytes, as the circuit of 115 gates by Boyar and Peralta ("A depth-16 circuit
/// for the AES S-box", 2011), with its names.
#[inline(never)]
fn sub_bytes(state: &mut State) {
    let [x7, x6, x5, x4, x3, x2, x1, x0] = *state;
    // Top: linear.
    let y14 = x3 ^ x5;
    let y13 = x0 ^ x6;
    let y9 = x0 ^ x3;
    let y8 = x0 ^ x5;
    let t0 = x1 ^ x2;
    let y1 = t0 ^ x7;
    let y4 = y1 ^ x3;
    let y12 = y13 ^ y14;
    let y2 = y1 ^ x0;
    let y5 = y1 ^ x6;
    let y3 = y5 ^ y8;
    let t1 = x4 ^ y12;
    let y15 = t1 ^ x5;
    let y20 = t1 ^ x1;
    let y6 = y15 ^ x7;
    let y10 = y15 ^ t0;
    let y11 = y20 ^ y9;
    let y7 = x7 ^ y11;
    let y17 = y10 ^ y11;
    let y19 = y10 ^ y8;
    let y16 = t0 ^ y11;
    let y21 = y13 ^ y16;
    let y18 = x0 ^ y16;
    // Middle: the inversion.
    let t2 = y12 & y15;
    let t3 = y3 & y6;
    let t4 = t3 ^ t2;
    let t5 = y4 & x7;
    let t6 = t5 ^ t2;
    let t7 = y13 & y16;
    let t8 = y5 & y1;
    let t9 = t8 ^ t7;
    let t10 = y2 & y7;
    let t11 = t10 ^ t7;
    let t12 = y9 & y11;
    let t13 = y14 & y17;
    let t14 = t13 ^ t12;
    let t15 = y8 & y10;
    let t16 = t15 ^ t12;
    let t17 = t4 ^ t14;
    let t18 = t6 ^ t16;
    let t19 = t9 ^ t14;
    let t20 = t11 ^ t16;
    let t21 = t17 ^ y20;
    let t22 = t18 ^ y19;
    let t23 = t19 ^ y21;
    let t24 = t20 ^ y18;
    let t25 = t21 ^ t22;
    let t26 = t21 & t23;
    let t27 = t24 ^ t26;
    let t28 = t25 & t27;
    let t29 = t28 ^ t22;
    let t30 = t23 ^ t24;
    let t31 = t22 ^ t26;
    let t32 = t31 & t30;
    let t33 = t32 ^ t24;
    let t34 = t23 ^ t33;
    let t35 = t27 ^ t33;
    let t36 = t24 & t35;
    let t37 = t36 ^ t34;
    let t38 = t27 ^ t36;
    let t39 = t29 & t38;
    let t40 = t25 ^ t39;
    let t41 = t40 ^ t37;
    let t42 = t29 ^ t33;
    let t43 = t29 ^ t40;
    let t44 = t33 ^ t37;
    let t45 = t42 ^ t41;
    let z0 = t44 & y15;
    let z1 = t37 & y6;
    let z2 = t33 & x7;
    let z3 = t43 & y16;
    let z4 = t40 & y1;
    let z5 = t29 & y7;
    let z6 = t42 & y11;
    let z7 = t45 & y17;
    let z8 = t41 & y10;
    let z9 = t44 & y12;
    let z10 = t37 & y3;
    let z11 = t33 & y4;
    let z12 = t43 & y13;
    let z13 = t40 & y5;
    let z14 = t29 & y2;
    let z15 = t42 & y9;
    let z16 = t45 & y14;
    let z17 = t41 & y8;
    // Bottom: linear.
    let t46 = z15 ^ z16;
    let t47 = z10 ^ z11;
    let t48 = z5 ^ z13;
    let t49 = z9 ^ z10;
    let t50 = z2 ^ z12;
    let t51 = z2 ^ z5;
    let t52 = z7 ^ z8;
    let t53 = z0 ^ z3;
    let t54 = z6 ^ z7;
    let t55 = z16 ^ z17;
    let t56 = z12 ^ t48;
    let t57 = t50 ^ t53;
    let t58 = z4 ^ t46;
    let t59 = z3 ^ t54;
    let t60 = t46 ^ t57;
    let t61 = z14 ^ t57;
    let t62 = t52 ^ t58;
    let t63 = t49 ^ t58;
    let t64 = z4 ^ t59;
    let t65 = t61 ^ t62;
    let t66 = z1 ^ t63;
    let s0 = t59 ^ t63;
    let s6 = t56 ^ !t62;
    let s7 = t48 ^ !t60;
    let t67 = t64 ^ t65;
    let s3 = t53 ^ t66;
    let s4 = t51 ^ t66;
    let s5 = t47 ^ t65;
    let s1 = t64 ^ !s3;
    let s2 = t55 ^ !t67;
    *state = [s7, s6, s5, s4, s3, s2, s1, s0];
}
