// SPDX-License-Identifier: Apache-2.0 OR MIT
//! AES-SIV (RFC 5297) as E4 uses it: the key K||K, no nonce string (PROTOCOL section 2).
//!
//! It stands over the block cipher of the `aes` crate and not over `aes-siv`, because K||K asks for
//! one key schedule where that crate makes three for a message. The tests compare the two.

use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use aes::{Aes256, Block};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::crypto::keys::KEY_LEN;
use crate::error::{Error, Result};
use crate::wire::message::SIV_LEN;

const BLOCK_LEN: usize = 16;
/// Blocks of key stream made at once; the block cipher works on so many in parallel.
const STRIDE: usize = 8;

/// A key made ready. Keep it where one key protects many messages; it holds the key schedule,
/// and is wiped when dropped.
#[derive(ZeroizeOnDrop)]
pub struct Siv {
    aes: Aes256,
    /// The subkeys K1 and K2 of CMAC (RFC 4493 section 2.3).
    subkeys: [u128; 2],
}

impl Siv {
    /// Makes a key ready.
    pub fn new(key: &[u8; KEY_LEN]) -> Self {
        let aes = Aes256::new(key.into());
        let first = double(encrypt(&aes, 0));
        Self { aes, subkeys: [first, double(first)] }
    }

    /// Encrypts `plaintext` into `ciphertext`, which has the same length, and returns the SIV.
    ///
    /// # Errors
    /// [`Error::Internal`] if the lengths differ.
    pub fn seal(
        &self,
        associated: &[&[u8]],
        plaintext: &[u8],
        ciphertext: &mut [u8],
    ) -> Result<[u8; SIV_LEN]> {
        if plaintext.len() != ciphertext.len() {
            return Err(Error::Internal);
        }
        let siv = self.s2v(associated, plaintext);
        self.xor_key_stream(&siv, plaintext, ciphertext);
        Ok(siv)
    }

    /// Decrypts `ciphertext` into `plaintext`, which has the same length and is wiped on failure.
    ///
    /// # Errors
    /// [`Error::InvalidTag`] if the SIV does not fit; [`Error::Internal`] if the lengths differ.
    pub fn open(
        &self,
        associated: &[&[u8]],
        siv: &[u8; SIV_LEN],
        ciphertext: &[u8],
        plaintext: &mut [u8],
    ) -> Result<()> {
        if plaintext.len() != ciphertext.len() {
            return Err(Error::Internal);
        }
        self.xor_key_stream(siv, ciphertext, plaintext);
        if self.s2v(associated, plaintext).as_slice().ct_eq(siv.as_slice()).into() {
            return Ok(());
        }
        plaintext.zeroize();
        Err(Error::InvalidTag)
    }

    /// The pseudo-random function of RFC 5297 section 2.4.
    fn s2v(&self, associated: &[&[u8]], plaintext: &[u8]) -> [u8; SIV_LEN] {
        let zero = self.cmac(0, &[], &[0; BLOCK_LEN]);
        let mixed = associated.iter().fold(zero, |mixed, text| {
            let (blocks, rest) = whole_blocks(text);
            double(mixed) ^ self.cmac(0, blocks, rest)
        });
        let tag = match plaintext.split_last_chunk::<BLOCK_LEN>() {
            Some((before, end)) => {
                // "xorend": what was mixed goes over the last 16 bytes, which may lie across two
                // blocks of the CMAC.
                let (blocks, rest) = before.as_chunks();
                let end = (u128::from_be_bytes(*end) ^ mixed).to_be_bytes();
                let mut tail = [0u8; 2 * BLOCK_LEN];
                let bytes = rest.iter().chain(&end);
                tail.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
                let (tail, _) = tail.split_at(BLOCK_LEN + rest.len());
                let (more, last) = whole_blocks(tail);
                self.cmac(self.chain(0, blocks), more, last)
            }
            None => {
                let padded = double(mixed) ^ pad(plaintext);
                encrypt(&self.aes, padded ^ self.subkeys[0])
            }
        };
        tag.to_be_bytes()
    }

    /// CMAC (RFC 4493) from a state on, over whole blocks and a last one of at most 16 bytes.
    fn cmac(&self, state: u128, blocks: &[[u8; BLOCK_LEN]], last: &[u8]) -> u128 {
        let last = match last.try_into() {
            Ok(whole) => u128::from_be_bytes(whole) ^ self.subkeys[0],
            Err(_) => pad(last) ^ self.subkeys[1],
        };
        encrypt(&self.aes, self.chain(state, blocks) ^ last)
    }

    fn chain(&self, state: u128, blocks: &[[u8; BLOCK_LEN]]) -> u128 {
        let step = |state, block: &[u8; BLOCK_LEN]| u128::from_be_bytes(*block) ^ state;
        blocks.iter().fold(state, |state, block| encrypt(&self.aes, step(state, block)))
    }

    /// AES-CTR from the SIV with two bits cleared (RFC 5297 section 2.5).
    fn xor_key_stream(&self, siv: &[u8; SIV_LEN], input: &[u8], output: &mut [u8]) {
        const CLEAR: u128 = !((1 << 63) | (1 << 31));
        let mut counter = u128::from_be_bytes(*siv) & CLEAR;
        let mut stream = [Block::default(); STRIDE];
        let chunks = input.chunks(STRIDE * BLOCK_LEN);
        for (from, to) in chunks.zip(output.chunks_mut(STRIDE * BLOCK_LEN)) {
            let needed = from.len().div_ceil(BLOCK_LEN);
            let (used, _) = stream.split_at_mut(needed.min(STRIDE));
            for block in used.iter_mut() {
                *block = Array(counter.to_be_bytes());
                counter = counter.wrapping_add(1);
            }
            self.aes.encrypt_blocks(used);
            let key = Block::cast_slice_to_core(used).as_flattened();
            let pairs = from.iter().zip(key);
            to.iter_mut().zip(pairs).for_each(|(to, (from, key))| *to = from ^ key);
        }
        stream.iter_mut().for_each(|block| block.0.zeroize());
    }
}

/// [`Siv::seal`] under a key that is used once.
///
/// # Errors
/// [`Error::Internal`] if the lengths differ.
pub fn seal(
    key: &[u8; KEY_LEN],
    associated: &[&[u8]],
    plaintext: &[u8],
    ciphertext: &mut [u8],
) -> Result<[u8; SIV_LEN]> {
    Siv::new(key).seal(associated, plaintext, ciphertext)
}

/// [`Siv::open`] under a key that is used once.
///
/// # Errors
/// [`Error::InvalidTag`] if the SIV does not fit; [`Error::Internal`] if the lengths differ.
pub fn open(
    key: &[u8; KEY_LEN],
    associated: &[&[u8]],
    siv: &[u8; SIV_LEN],
    ciphertext: &[u8],
    plaintext: &mut [u8],
) -> Result<()> {
    Siv::new(key).open(associated, siv, ciphertext, plaintext)
}

fn encrypt(aes: &Aes256, block: u128) -> u128 {
    let mut block: Block = Array(block.to_be_bytes());
    aes.encrypt_block(&mut block);
    u128::from_be_bytes(block.0)
}

/// Doubling in GF(2^128), in constant time (RFC 5297 section 2.3).
fn double(value: u128) -> u128 {
    (value << 1) ^ (0x87 & (value >> 127).wrapping_neg())
}

/// `text`, shorter than a block, followed by a one bit and zeros.
fn pad(text: &[u8]) -> u128 {
    let mut block = [0u8; BLOCK_LEN];
    block.iter_mut().zip(text.iter().chain(&[0x80])).for_each(|(to, from)| *to = *from);
    u128::from_be_bytes(block)
}

/// Whole blocks, and a last one of 1 to 16 bytes; of nothing, nothing.
fn whole_blocks(text: &[u8]) -> (&[[u8; BLOCK_LEN]], &[u8]) {
    let last = match text.len() % BLOCK_LEN {
        0 => BLOCK_LEN.min(text.len()),
        rest => rest,
    };
    let (before, last) = text.split_at_checked(text.len() - last).unwrap_or_default();
    (before.as_chunks().0, last)
}
