// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A number modulo 8 L as the ratio of two numbers of half the length, after Antipa, Brown, Gallant,
//! Lambert, Struik and Vanstone, "Accelerated Verification of ECDSA Signatures" (2005).
//!
//! 8 L is the exponent of the whole curve: what holds for multiples modulo 8 L holds for every point,
//! and not only for those of order L. Nothing here is secret, and times differ.

use core::mem::swap;

use super::scalar::{Number, ORDER, SCALAR_LEN, add, subtract};

/// `number` is `numerator / denominator` modulo 8 L, or minus that.
pub struct Ratio {
    /// Less than 2^128 in most cases, and never more than the number.
    pub numerator: Number,
    /// Odd, and less than 2^128. So only the neutral point becomes neutral by it.
    pub denominator: Number,
    pub is_negative: bool,
}

/// Of a number less than L.
#[cfg_attr(not(feature = "std"), inline(never))]
pub fn ratio(number: &Number) -> Ratio {
    // Euclid's algorithm. In each row `[rest, factor]`, rest is factor * number modulo 8 L, and so it
    // is in a row from which a multiple of the other is taken. The factors have opposite signs, which
    // never change, so that factors only grow; what is stored is without the sign.
    let (mut first, mut second) = ([[0; SCALAR_LEN]; 2], [*number, [0; SCALAR_LEN]]);
    add(shifted(&mut first[0], 0), &ORDER, 8);
    second[1][0] = 1;
    let (mut long, mut short) = (&mut first, &mut second);
    let mut is_negative = false;
    // Each rest times the factor of the other row make 8 L together, which is less than 2^256: while
    // `long` has more than half the bits, the factor of `short` has less, and that of `long` is less.
    while length(&short[0]) > SCALAR_LEN * 8 / 2 {
        let shift = length(&long[0]).checked_sub(length(&short[0]));
        // What has as many bits as `long` may be more than `long`; what has one less is not.
        let shifts = [shift, shift.and_then(|shift| shift.checked_sub(1))];
        let step = shifts.into_iter().flatten().find_map(|shift| {
            let mut rest = long[0];
            let is_less = subtract(shifted(&mut rest, shift), &short[0], 1 << (shift % 32)) == 1;
            (!is_less).then_some((rest, shift))
        });
        if let Some((rest, shift)) = step {
            long[0] = rest;
            add(shifted(&mut long[1], shift), &short[1], 1 << (shift % 32));
        } else {
            swap(&mut long, &mut short);
            is_negative = !is_negative;
        }
    }
    // Factors of neighbours have no common divisor: one of the two is odd.
    if short[1][0] % 2 == 0 {
        swap(&mut long, &mut short);
        is_negative = !is_negative;
    }
    let [numerator, denominator] = *short;
    Ratio { numerator, denominator, is_negative }
}

/// The limbs from that of a bit on.
fn shifted(number: &mut Number, bit: usize) -> &mut [[u8; 4]] {
    number.as_chunks_mut().0.get_mut(bit / 32..).unwrap_or_default()
}

/// How many bits it takes.
fn length(number: &Number) -> usize {
    let top = number.iter().enumerate().rfind(|(_, byte)| **byte != 0);
    top.map_or(0, |(at, byte)| 8 * at + 8 - byte.leading_zeros() as usize)
}
