// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The equation of a signature, `s B = R + k A`, whose factors have 253 bits. Times a short odd
//! number d for which d k is short as well, and with d s cut in halves, they have half of that, and
//! so there are half the doublings. After Pornin, "Optimized Lattice Basis Reduction In Dimension 2,
//! and Fast Schnorr and EdDSA Signature Verification" (2020).
//!
//! Nothing here is secret, and times differ.

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use group::Group;

use super::ratio::{Ratio, ratio};
use super::scalar::{Number, SCALAR_LEN, multiply_add};

/// 2^128 times the base point.
const BASE_128: CompressedEdwardsY = CompressedEdwardsY([
    0x6b, 0xa6, 0xf5, 0x4b, 0x11, 0xbd, 0xba, 0x5b, 0x9e, 0xc4, 0xa4, 0x51, 0x1e, 0xbe, 0xd0, 0x90,
    0x3a, 0x9c, 0xc2, 0x26, 0xb6, 0x1e, 0xf1, 0x95, 0x7d, 0xc8, 0x6d, 0x52, 0xe6, 0x99, 0x2c, 0x5f,
]);

/// Whether `s B` is `r + k key`, for s and k less than L and any two points, without a cofactor.
pub fn holds(s: &Number, k: &Number, key: &EdwardsPoint, r: &EdwardsPoint) -> bool {
    let Some(base_128) = BASE_128.decompress() else { return false };
    let Ratio { numerator, denominator, is_negative } = ratio(k);
    let key = if is_negative { *key } else { -key };
    let [low, high] = halves(&multiply_add(&denominator, s, &[0; SCALAR_LEN]));
    sum_is_neutral(&[
        Term::new(&low, &ED25519_BASEPOINT_POINT),
        Term::new(&high, &base_128),
        Term::new(&numerator, &key),
        Term::new(&denominator, &-r),
    ])
}

/// What is below 2^128, and what is above.
fn halves(number: &Number) -> [Number; 2] {
    let mut halves = [[0; SCALAR_LEN]; 2];
    for (half, part) in halves.iter_mut().zip(number.as_chunks::<{ SCALAR_LEN / 2 }>().0) {
        half[..SCALAR_LEN / 2].copy_from_slice(part);
    }
    halves
}

/// A multiple of a point.
struct Term {
    /// The factor in non-adjacent form of width 4: digits are zero, or odd and -7 to 7.
    digits: [i8; 256],
    /// 1, 3, 5 and 7 times the point.
    multiples: [EdwardsPoint; 4],
}

impl Term {
    /// Of a factor less than 2^255.
    #[cfg_attr(not(feature = "std"), inline(never))]
    fn new(factor: &Number, point: &EdwardsPoint) -> Self {
        let mut digits = [0; 256];
        let (mut at, mut carry) = (0, 0);
        while let Some(digit) = digits.get_mut(at) {
            let byte = |at: usize| factor.get(at).copied().map_or(0, u32::from);
            let window = (byte(at / 8) | byte(at / 8 + 1) << 8) >> (at % 8) & 15;
            let value = (window + carry) as i8;
            if value % 2 == 0 {
                at += 1;
                continue;
            }
            carry = u32::from(value > 8);
            *digit = if value > 8 { value - 16 } else { value };
            at += 4;
        }
        let twice = point.double();
        let three = point + twice;
        let five = three + twice;
        Self { digits, multiples: [*point, three, five, five + twice] }
    }

    fn digit(&self, at: usize) -> i8 {
        self.digits.get(at).copied().unwrap_or_default()
    }
}

#[cfg_attr(not(feature = "std"), inline(never))]
fn sum_is_neutral(terms: &[Term; 4]) -> bool {
    let mut sum = EdwardsPoint::default();
    let is_leading = |at: &usize| terms.iter().all(|term| term.digit(*at) == 0);
    for at in (0..256).rev().skip_while(is_leading) {
        sum = sum.double();
        for term in terms {
            let digit = term.digit(at);
            if let Some(multiple) = term.multiples.get(usize::from(digit.unsigned_abs() / 2)) {
                match digit.signum() {
                    1 => sum += multiple,
                    -1 => sum -= multiple,
                    _ => {}
                }
            }
        }
    }
    sum == EdwardsPoint::default()
}
