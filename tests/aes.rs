// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The AES-256 of microcontrollers: FIPS 197, and beside the `aes` crate.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use aes::Block;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use e4::crypto::aes::Aes256;

#[test]
fn fips_197_appendix_c_3() {
    let key: [u8; 32] = core::array::from_fn(|i| i as u8);
    let block: [u8; 16] = core::array::from_fn(|i| (i * 0x11) as u8);
    let mut pair = [block, [0; 16]];
    Aes256::new(&key).encrypt(&mut pair);
    assert_eq!(hex::encode(pair[0]), "8ea2b7ca516745bfeafc49904b496089");
}

/// The key is new for every four blocks.
#[test]
fn like_the_aes_crate() {
    let count = if cfg!(debug_assertions) { 20_000 } else { 1_000_000 };
    let mut state = 0x4534_u64;
    let mut next = move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    };
    for number in 0..count / 4 {
        // Random, or zero but for one bit.
        let mut fill = |bytes: &mut [u8]| {
            bytes.chunks_mut(8).for_each(|to| to.copy_from_slice(&next().to_le_bytes()));
            if number % 4 == 0 {
                let at = next() as usize % (8 * bytes.len());
                bytes.fill(0);
                bytes[at / 8] = 1 << (at % 8);
            }
        };
        let mut key = [0; 32];
        fill(&mut key);
        let mut ours = [[[0; 16]; 2]; 2];
        ours.as_flattened_mut().iter_mut().for_each(|block| fill(block));
        let mut theirs: [Block; 4] = core::array::from_fn(|i| ours[i / 2][i % 2].into());
        ours.iter_mut().for_each(|pair| Aes256::new(&key).encrypt(pair));
        aes::Aes256::new(&key.into()).encrypt_blocks(&mut theirs);
        assert_eq!(ours.as_flattened(), theirs.map(<[u8; 16]>::from), "key {}", hex::encode(key));
    }
}
