// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Arithmetic modulo L, the order of Ed25519's base point (RFC 8032 section 5.1), in constant time.
//!
//! Numbers are little-endian bytes, taken four at a time, and everything is one loop: a number plus
//! or minus a multiple of another. L is 2^252 + C, so that 2^252 is -C and 2^256 is -16 C modulo L,
//! and C has half the length of L: what is above 2^256 goes away limb by limb, and then what is above
//! 2^252.

use crate::bytes::wipe;

pub const SCALAR_LEN: usize = 32;

/// A number less than 2^256.
pub type Number = [u8; SCALAR_LEN];

/// A number less than 2^512, its low half first.
pub type Wide = [Number; 2];

type Limb = [u8; 4];

/// L.
pub const ORDER: Number = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// 16 C.
const TAIL_16: Number = [
    0xd0, 0x3e, 0x5d, 0xcf, 0xa5, 0x31, 0x26, 0x81, 0x65, 0xcd, 0x79, 0x2f, 0xea, 0x9d, 0xef, 0x4d,
    0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

/// Whether a number is less than L.
pub fn is_canonical(number: &Number) -> bool {
    let mut rest = *number;
    subtract(rest.as_chunks_mut().0, &ORDER, 1) == 1
}

/// `wide` modulo L; `wide` is wiped.
#[cfg_attr(not(feature = "std"), inline(never))]
pub fn reduce(wide: &mut Wide) -> Number {
    for at in (0..8).rev() {
        if let Some([low @ .., high]) = window(wide, at) {
            fold(low, &TAIL_16, u32::from_le_bytes(*high));
        }
    }
    let [low, _] = wide;
    let [.., last] = *low;
    let times = u32::from(last >> 4);
    fold(low.as_chunks_mut().0, &ORDER, times);
    let reduced = *low;
    wipe(wide.as_flattened_mut());
    reduced
}

/// `one * other + more` modulo L, of any numbers.
#[cfg_attr(not(feature = "std"), inline(never))]
pub fn multiply_add(one: &Number, other: &Number, more: &Number) -> Number {
    let mut wide = [*more, [0; SCALAR_LEN]];
    for (at, factor) in other.as_chunks().0.iter().enumerate() {
        if let Some([low @ .., high]) = window(&mut wide, at) {
            *high = add(low, one, u32::from_le_bytes(*factor)).to_le_bytes();
        }
    }
    reduce(&mut wide)
}

/// Nine limbs, from limb `at` on.
fn window(wide: &mut Wide, at: usize) -> Option<&mut [Limb]> {
    wide.as_flattened_mut().as_chunks_mut().0.get_mut(at..at + 9)
}

/// Takes `one * factor` away, and adds L where that gives less than zero. It never gives less than
/// -2^161, and so -L.
fn fold(low: &mut [Limb], one: &Number, factor: u32) {
    let borrow = subtract(low, one, factor);
    add(low, &ORDER, borrow);
}

/// `number += one * factor`; what does not fit is returned.
pub fn add(number: &mut [Limb], one: &Number, factor: u32) -> u32 {
    add_masked(number, one, factor, 0)
}

/// `number -= one * factor`; what lacks above is returned.
pub fn subtract(number: &mut [Limb], one: &Number, factor: u32) -> u32 {
    // x - y is !(!x + y).
    add_masked(number, one, factor, u32::MAX)
}

#[cfg_attr(not(feature = "std"), inline(never))]
fn add_masked(number: &mut [Limb], one: &Number, factor: u32, mask: u32) -> u32 {
    let mut carry = 0;
    for (to, limb) in number.iter_mut().zip(one.as_chunks().0) {
        // At most (2^32 - 1)^2 + 2 (2^32 - 1), which is 2^64 - 1.
        let sum = u64::from(u32::from_le_bytes(*limb)) * u64::from(factor)
            + u64::from(u32::from_le_bytes(*to) ^ mask)
            + u64::from(carry);
        *to = (sum as u32 ^ mask).to_le_bytes();
        carry = (sum >> 32) as u32;
    }
    carry
}

#[cfg(all(test, feature = "std"))]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use curve25519_dalek::scalar::Scalar;

    fn wide(number: &[u8; 64]) -> Wide {
        number.as_chunks().0.try_into().unwrap()
    }

    fn check_reduce(number: &[u8; 64]) {
        let expected = Scalar::from_bytes_mod_order_wide(number).to_bytes();
        let mut wide = wide(number);
        assert_eq!(reduce(&mut wide), expected, "{}", hex::encode(number));
        assert_eq!(wide, [[0; 32]; 2]);
    }

    fn check_multiply_add(one: &Number, other: &Number, more: &Number) {
        let [a, b, c] = [one, other, more].map(|number| Scalar::from_bytes_mod_order(*number));
        assert_eq!(multiply_add(one, other, more), (a * b + c).to_bytes());
    }

    fn check_canonical(number: &Number) {
        let expected = bool::from(Scalar::from_canonical_bytes(*number).is_some());
        assert_eq!(is_canonical(number), expected, "{}", hex::encode(number));
    }

    /// `number` and its neighbours modulo 2^512.
    fn around(number: &[u8; 64]) -> Vec<[u8; 64]> {
        let near = |by: i16| {
            let mut carry = by;
            number.map(|byte| {
                carry += i16::from(byte);
                let byte = carry as u8;
                carry >>= 8;
                byte
            })
        };
        (-2..=2).map(near).collect()
    }

    /// L, shifted and multiplied, powers of two, and their neighbours.
    fn edges() -> Vec<[u8; 64]> {
        let mut middles = vec![[0; 64], [0xff; 64]];
        for bit in 0..512 {
            let mut power = [0; 64];
            power[bit / 8] = 1 << (bit % 8);
            middles.push(power);
        }
        for factor in 1..=u16::from(u8::MAX) {
            for shift in 0..32 {
                let mut multiple = [0; 64];
                let mut carry = 0;
                for (to, byte) in multiple[shift..].iter_mut().zip(ORDER.iter().chain(&[0])) {
                    carry += u16::from(*byte) * factor;
                    *to = carry as u8;
                    carry >>= 8;
                }
                middles.push(multiple);
            }
        }
        middles.iter().flat_map(around).collect()
    }

    #[test]
    fn edges_are_as_the_crate_has_them() {
        let edges = edges();
        let mut halves = Vec::new();
        for edge in &edges {
            check_reduce(edge);
            for half in wide(edge) {
                check_canonical(&half);
                halves.push(half);
            }
        }
        halves.sort();
        halves.dedup();
        // Each with some others.
        for (at, half) in halves.iter().enumerate() {
            check_multiply_add(half, &[0xff; 32], &[0xff; 32]);
            check_multiply_add(half, half, half);
            let others = [at * 7 + 1, at * 13 + 5].map(|other| &halves[other % halves.len()]);
            check_multiply_add(half, others[0], others[1]);
        }
        check_reduce(&[0xff; 64]);
        assert!(is_canonical(&[0; 32]) && !is_canonical(&ORDER) && !is_canonical(&[0xff; 32]));
    }

    #[test]
    fn random_numbers_are_as_the_crate_has_them() {
        let count = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
        let mut state = 0x4534_u64;
        let mut next = || {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            state.wrapping_mul(0x2545_f491_4f6c_dd1d)
        };
        for number in 0..count {
            let mut bytes = [0; 64];
            bytes.chunks_mut(8).for_each(|to| to.copy_from_slice(&next().to_le_bytes()));
            if number % 4 == 0 {
                // Long runs of ones and zeros, which random numbers never have.
                bytes.iter_mut().for_each(|byte| *byte = (*byte as i8 >> 7) as u8);
            }
            check_reduce(&bytes);
            let [one, other] = wide(&bytes);
            check_multiply_add(&one, &other, &one);
            check_canonical(&one);
            check_canonical(&reduce(&mut wide(&bytes)));
        }
    }
}
