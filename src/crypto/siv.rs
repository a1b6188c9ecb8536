// SPDX-License-Identifier: Apache-2.0 OR MIT
//! AES-SIV (RFC 5297) as E4 uses it: the key K||K, no nonce string (PROTOCOL section 2).
//!
//! It stands over the block cipher of the `aes` crate and not over `aes-siv`, because K||K asks for
//! one key schedule where that crate makes three for a message. The tests compare the two.
//!
//! With `std` everything is inlined into the back end of the cipher, for speed; without it the code
//! is the same and small.

use aes::cipher::common::typenum::Unsigned;
use aes::cipher::consts::U16;
use aes::cipher::{
    Array, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser,
    KeyInit, ParBlocks,
};
use aes::{Aes256, Block};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::bytes::Bytes;
use crate::crypto::keys::KEY_LEN;
use crate::error::{Error, Result};
use crate::sizes::SIV_LEN;

const BLOCK_LEN: usize = 16;

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
        let mut zero = Block::default();
        aes.encrypt_block(&mut zero);
        let first = double(u128::from_be_bytes(zero.0));
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
        let mut siv = [0; SIV_LEN];
        self.aes.encrypt_with_backend(Seal {
            subkeys: &self.subkeys,
            associated,
            plaintext,
            ciphertext,
            siv: &mut siv,
        });
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
        let mut expected = [0; SIV_LEN];
        self.aes.encrypt_with_backend(Open {
            subkeys: &self.subkeys,
            associated,
            siv,
            ciphertext,
            plaintext: &mut *plaintext,
            expected: &mut expected,
        });
        if expected.as_slice().ct_eq(siv.as_slice()).into() {
            return Ok(());
        }
        plaintext.zeroize();
        Err(Error::InvalidTag)
    }
}

/// One sealing, done inside the back end of the block cipher so that it is chosen once.
struct Seal<'a> {
    subkeys: &'a [u128; 2],
    associated: &'a [&'a [u8]],
    plaintext: &'a [u8],
    ciphertext: &'a mut [u8],
    siv: &'a mut [u8; SIV_LEN],
}

impl BlockSizeUser for Seal<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Seal<'_> {
    #[cfg_attr(feature = "std", inline(always))]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let cmac = Cmac { backend, subkeys: self.subkeys };
        *self.siv = cmac.s2v(self.associated, self.plaintext);
        xor_key_stream(backend, self.siv, self.plaintext, self.ciphertext);
    }
}

/// One opening; `expected` becomes the SIV of what was decrypted.
struct Open<'a> {
    subkeys: &'a [u128; 2],
    associated: &'a [&'a [u8]],
    siv: &'a [u8; SIV_LEN],
    ciphertext: &'a [u8],
    plaintext: &'a mut [u8],
    expected: &'a mut [u8; SIV_LEN],
}

impl BlockSizeUser for Open<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Open<'_> {
    #[cfg_attr(feature = "std", inline(always))]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        xor_key_stream(backend, self.siv, self.ciphertext, self.plaintext);
        let cmac = Cmac { backend, subkeys: self.subkeys };
        *self.expected = cmac.s2v(self.associated, self.plaintext);
    }
}

/// CMAC (RFC 4493), and S2V made of it.
struct Cmac<'a, B> {
    backend: &'a B,
    subkeys: &'a [u128; 2],
}

impl<B: BlockCipherEncBackend<BlockSize = U16>> Cmac<'_, B> {
    /// The pseudo-random function of RFC 5297 section 2.4.
    #[cfg_attr(feature = "std", inline(always))]
    fn s2v(&self, associated: &[&[u8]], plaintext: &[u8]) -> [u8; SIV_LEN] {
        let zero = self.finish(0, &[0; BLOCK_LEN]);
        let mixed = associated.iter().fold(zero, |mixed, text| {
            let (blocks, last) = whole_blocks(text);
            double(mixed) ^ self.finish(self.chain(0, blocks), last)
        });
        let tag = match plaintext.split_last_chunk::<BLOCK_LEN>() {
            Some((before, end)) => {
                // "xorend": what was mixed goes over the last 16 bytes, which may lie across two
                // blocks of the CMAC.
                let (blocks, rest) = before.as_chunks();
                let end = (u128::from_be_bytes(*end) ^ mixed).to_be_bytes();
                let tail = Bytes::<{ 2 * BLOCK_LEN }>::new().with(rest).with(&end);
                let (more, last) = whole_blocks(&tail);
                self.finish(self.chain(self.chain(0, blocks), more), last)
            }
            None => self.finish(double(mixed) ^ pad(plaintext), &[0; BLOCK_LEN]),
        };
        tag.to_be_bytes()
    }

    /// The last block of a CMAC, 0 to 16 bytes.
    #[cfg_attr(feature = "std", inline(always))]
    fn finish(&self, state: u128, last: &[u8]) -> u128 {
        let last = match last.try_into() {
            Ok(whole) => u128::from_be_bytes(whole) ^ self.subkeys[0],
            Err(_) => pad(last) ^ self.subkeys[1],
        };
        encrypt(self.backend, state ^ last)
    }

    /// The blocks before the last.
    #[cfg_attr(feature = "std", inline(always))]
    fn chain(&self, state: u128, blocks: &[[u8; BLOCK_LEN]]) -> u128 {
        let step = |state, block: &[u8; BLOCK_LEN]| u128::from_be_bytes(*block) ^ state;
        blocks.iter().fold(state, |state, block| encrypt(self.backend, step(state, block)))
    }
}

/// AES-CTR from the SIV with two bits cleared (RFC 5297 section 2.5), as many blocks at once as
/// the back end takes.
#[cfg_attr(feature = "std", inline(always))]
fn xor_key_stream<B: BlockCipherEncBackend<BlockSize = U16>>(
    backend: &B,
    siv: &[u8; SIV_LEN],
    input: &[u8],
    output: &mut [u8],
) {
    const CLEAR: u128 = !((1 << 63) | (1 << 31));
    let mut counter = u128::from_be_bytes(*siv) & CLEAR;
    let mut next = || {
        let block: Block = Array(counter.to_be_bytes());
        counter = counter.wrapping_add(1);
        block
    };
    let stride = B::ParBlocksSize::USIZE * BLOCK_LEN;
    // Where every kilobyte counts, one block at a time: the same cipher twice is too much.
    let parallel = if cfg!(feature = "std") { input.len() / stride * stride } else { 0 };
    let (many, rest) = input.split_at(parallel);
    let (to_many, to_rest) = output.split_at_mut(parallel);
    for (from, to) in many.chunks_exact(stride).zip(to_many.chunks_exact_mut(stride)) {
        let mut keys = ParBlocks::<B>::default();
        keys.iter_mut().for_each(|key| *key = next());
        backend.encrypt_par_blocks((&mut keys).into());
        for ((to, from), key) in to.as_chunks_mut().0.iter_mut().zip(from.as_chunks().0).zip(&keys)
        {
            *to = (u128::from_be_bytes(*from) ^ u128::from_be_bytes(key.0)).to_be_bytes();
        }
    }
    for (from, to) in rest.chunks(BLOCK_LEN).zip(to_rest.chunks_mut(BLOCK_LEN)) {
        let mut key = next();
        backend.encrypt_block((&mut key).into());
        to.iter_mut().zip(from.iter().zip(&key)).for_each(|(to, (from, key))| *to = from ^ key);
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

#[cfg_attr(feature = "std", inline(always))]
fn encrypt<B: BlockCipherEncBackend<BlockSize = U16>>(backend: &B, block: u128) -> u128 {
    let mut block: Block = Array(block.to_be_bytes());
    backend.encrypt_block((&mut block).into());
    u128::from_be_bytes(block.0)
}

/// Doubling in GF(2^128), in constant time (RFC 5297 section 2.3).
#[cfg_attr(feature = "std", inline(always))]
fn double(value: u128) -> u128 {
    (value << 1) ^ (0x87 & (value >> 127).wrapping_neg())
}

/// `text`, shorter than a block, followed by a one bit and zeros.
#[cfg_attr(feature = "std", inline(always))]
fn pad(text: &[u8]) -> u128 {
    u128::from_be_bytes(*Bytes::new().with(text).with(&[0x80]).whole())
}

/// Whole blocks, and a last one of 1 to 16 bytes; of nothing, nothing.
#[cfg_attr(feature = "std", inline(always))]
fn whole_blocks(text: &[u8]) -> (&[[u8; BLOCK_LEN]], &[u8]) {
    let last = match text.len() % BLOCK_LEN {
        0 => BLOCK_LEN.min(text.len()),
        rest => rest,
    };
    let (before, last) = text.split_at_checked(text.len() - last).unwrap_or_default();
    (before.as_chunks().0, last)
}
