// SPDX-License-Identifier: Apache-2.0 OR MIT
//! AES-SIV (RFC 5297) as E4 uses it: the key K||K, no nonce string (PROTOCOL section 2).
//!
//! It stands over the block cipher of the `aes` crate and not over `aes-siv`, because K||K asks for
//! one key schedule where that crate makes three for a message. The tests compare the two.
//!
//! With `std` everything is inlined into the back end of the cipher, for speed; without it the code
//! is the same and small, over the cipher of [`crypto::aes`](crate::crypto::aes).
//!
//! A block is a `u128` with its bytes as they stand in memory; only doubling and counting look at
//! it as a number.

#[cfg(feature = "std")]
use aes::Aes256;
use aes::Block;
use aes::cipher::common::typenum::Unsigned;
use aes::cipher::consts::U16;
use aes::cipher::{
    Array, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser,
    KeyInit, ParBlocks,
};
use zeroize::ZeroizeOnDrop;

use crate::bytes::{Bytes, wipe};
#[cfg(not(feature = "std"))]
use crate::crypto::aes::Aes256;
use crate::crypto::keys::{KEY_LEN, is_same};
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
        BlockCipherEncrypt::encrypt_block(&aes, &mut zero);
        let first = double(u128::from_ne_bytes(zero.0));
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
        if is_same(&expected, siv) {
            return Ok(());
        }
        wipe(plaintext);
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
        let zero = self.mac(0, &[0; BLOCK_LEN]);
        let mixed = associated.iter().fold(zero, |mixed, text| double(mixed) ^ self.mac(0, text));
        let tag = match plaintext.split_last_chunk::<BLOCK_LEN>() {
            Some((before, end)) => {
                // "xorend": what was mixed goes over the last 16 bytes, which may lie across two
                // blocks of the CMAC.
                let (blocks, rest) = before.as_chunks();
                let end = (u128::from_ne_bytes(*end) ^ mixed).to_ne_bytes();
                let mut tail = Bytes::<{ 2 * BLOCK_LEN }>::new();
                tail.push(rest);
                tail.push(&end);
                self.mac(self.chain(0, blocks), &tail)
            }
            None => self.mac(0, &(double(mixed) ^ pad(plaintext)).to_ne_bytes()),
        };
        tag.to_ne_bytes()
    }

    /// CMAC, or the rest of one whose first blocks gave `state`.
    #[cfg_attr(feature = "std", inline(always))]
    fn mac(&self, state: u128, text: &[u8]) -> u128 {
        let [whole, padded] = self.subkeys;
        // The last block, of 1 to 16 bytes; of nothing, nothing.
        let (blocks, rest) = text.as_chunks();
        let (blocks, last) = match (blocks.split_last(), rest) {
            (Some((last, before)), []) => (before, u128::from_ne_bytes(*last) ^ whole),
            _ => (blocks, pad(rest) ^ padded),
        };
        encrypt(self.backend, self.chain(state, blocks) ^ last)
    }

    /// The blocks before the last.
    #[cfg_attr(feature = "std", inline(always))]
    fn chain(&self, state: u128, blocks: &[[u8; BLOCK_LEN]]) -> u128 {
        let step = |state, block: &[u8; BLOCK_LEN]| u128::from_ne_bytes(*block) ^ state;
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
    // Where every byte counts, all blocks are done many at once: the same cipher twice is too much.
    let alone = if cfg!(feature = "std") { input.len() % stride } else { 0 };
    let parallel = input.len() - alone;
    let (many, rest) = input.split_at_checked(parallel).unwrap_or_default();
    let (to_many, to_rest) = output.split_at_mut_checked(parallel).unwrap_or_default();
    for (from, to) in many.chunks(stride).zip(to_many.chunks_mut(stride)) {
        let mut keys = ParBlocks::<B>::default();
        keys.iter_mut().for_each(|key| *key = next());
        backend.encrypt_par_blocks((&mut keys).into());
        xor(to, from, &keys);
    }
    for (from, to) in rest.chunks(BLOCK_LEN).zip(to_rest.chunks_mut(BLOCK_LEN)) {
        let mut key = next();
        backend.encrypt_block((&mut key).into());
        xor(to, from, &[key]);
    }
}

/// `from` with the keys on it; of the last one, as much as is needed.
#[cfg_attr(feature = "std", inline(always))]
fn xor(to: &mut [u8], from: &[u8], keys: &[Block]) {
    let mut keys = keys.iter();
    let ((to, to_rest), (from, rest)) = (to.as_chunks_mut(), from.as_chunks());
    for ((to, from), key) in to.iter_mut().zip(from).zip(&mut keys) {
        *to = (u128::from_ne_bytes(*from) ^ u128::from_ne_bytes(key.0)).to_ne_bytes();
    }
    for ((to, from), key) in to_rest.iter_mut().zip(rest).zip(keys.next().into_iter().flatten()) {
        *to = from ^ key;
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
    let mut block: Block = Array(block.to_ne_bytes());
    backend.encrypt_block((&mut block).into());
    u128::from_ne_bytes(block.0)
}

/// Doubling in GF(2^128), in constant time (RFC 5297 section 2.3).
#[cfg_attr(feature = "std", inline(always))]
fn double(value: u128) -> u128 {
    let value = u128::from_be(value);
    ((value << 1) ^ (0x87 & (value >> 127).wrapping_neg())).to_be()
}

/// `text`, shorter than a block, followed by a one bit and zeros.
#[cfg_attr(feature = "std", inline(always))]
fn pad(text: &[u8]) -> u128 {
    let mut block = Bytes::new();
    block.push(text);
    block.push(&[0x80]);
    u128::from_ne_bytes(*block.whole())
}
