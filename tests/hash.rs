// SPDX-License-Identifier: Apache-2.0 OR MIT
//! SHA3-256 against the `sha3` crate; without `std` it is the small one of microcontrollers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(missing_docs)]

use e4::crypto::hash::sha3_256;
use sha3::Digest;

#[test]
fn every_length_to_six_hundred_and_every_cut() {
    let text: Vec<u8> = (0..600u32).map(|at| at.wrapping_mul(at + 7).to_le_bytes()[0]).collect();
    for length in 0..=text.len() {
        let whole = &text[..length];
        let theirs = sha3::Sha3_256::digest(whole);
        assert_eq!(sha3_256(&[whole])[..], theirs[..], "length {length}");
        for cut in (0..length).step_by(17) {
            let (before, after) = whole.split_at(cut);
            assert_eq!(sha3_256(&[before, b"", after])[..], theirs[..], "{cut} of {length}");
        }
    }
}
