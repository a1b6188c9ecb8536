// SPDX-License-Identifier: Apache-2.0 OR MIT
//! AES-SIV for hosts: everything is inlined into the back end of the cipher of the `aes` crate, for
//! speed.

use aes::cipher::common::typenum::Unsigned;
use aes::cipher::consts::U16;
use aes::cipher::{
    Array, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser,
    KeyInit, ParBlocks,
};
use aes::{Aes256Enc, Block};
use zeroize::ZeroizeOnDrop;

use super::{BLOCK_LEN, Tag};
use crate::bytes::{Bytes, wipe};
use crate::crypto::keys::{KEY_LEN, is_same};
use crate::error::{Error, Result};
use crate::sizes::SIV_LEN;

/// A key made ready. Keep it where one key protects many messages; it holds the key schedule,
/// and is wiped when dropped.
#[derive(ZeroizeOnDrop)]
pub struct Siv {
    aes: Aes256Enc,
    /// The subkeys K1 and K2 of CMAC (RFC 4493 section 2.3).
    subkeys: [u128; 2],
    /// The CMAC of a block of zeros, with which S2V starts.
    start: u128,
}

impl Siv {
    /// Makes a key ready.
    pub fn new(key: &[u8; KEY_LEN]) -> Self {
        let aes = Aes256Enc::new(key.into());
        let mut zero = Block::default();
        aes.encrypt_block(&mut zero);
        let first = double(u128::from_be_bytes(zero.0));
        let mut start: Block = Array(first.to_be_bytes());
        aes.encrypt_block(&mut start);
        Self { aes, subkeys: [first, double(first)], start: u128::from_be_bytes(start.0) }
    }

    /// Uses a key once.
    pub(crate) fn once<R>(key: &[u8; KEY_LEN], then: impl FnOnce(&Self) -> R) -> R {
        then(&Self::new(key))
    }

    /// [`Siv::seal`] or [`Siv::open`].
    pub(super) fn run(
        &self,
        associated: &[&[u8]],
        tag: Tag<'_>,
        from: &[u8],
        to: &mut [u8],
    ) -> Result<()> {
        match tag {
            Tag::Make(siv) => self.seal(associated, siv, from, to),
            Tag::Check(siv) => self.open(associated, siv, from, to),
        }
    }

    /// Encrypts `plaintext` into `ciphertext`, which has the same length, and writes the SIV.
    ///
    /// # Errors
    /// [`Error::Internal`] if the lengths differ.
    pub fn seal(
        &self,
        associated: &[&[u8]],
        siv: &mut [u8; SIV_LEN],
        plaintext: &[u8],
        ciphertext: &mut [u8],
    ) -> Result<()> {
        if plaintext.len() != ciphertext.len() {
            return Err(Error::Internal);
        }
        self.aes.encrypt_with_backend(Seal { key: self, associated, plaintext, ciphertext, siv });
        Ok(())
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
            key: self,
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
    key: &'a Siv,
    associated: &'a [&'a [u8]],
    plaintext: &'a [u8],
    ciphertext: &'a mut [u8],
    siv: &'a mut [u8; SIV_LEN],
}

impl BlockSizeUser for Seal<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Seal<'_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let cmac = Cmac { backend, key: self.key };
        *self.siv = cmac.s2v(self.associated, self.plaintext);
        xor_key_stream(backend, self.siv, self.plaintext, self.ciphertext);
    }
}

/// One opening; `expected` becomes the SIV of what was decrypted.
struct Open<'a> {
    key: &'a Siv,
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
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        xor_key_stream(backend, self.siv, self.ciphertext, self.plaintext);
        let cmac = Cmac { backend, key: self.key };
        *self.expected = cmac.s2v(self.associated, self.plaintext);
    }
}

/// CMAC (RFC 4493), and S2V made of it.
struct Cmac<'a, B> {
    backend: &'a B,
    key: &'a Siv,
}

impl<B: BlockCipherEncBackend<BlockSize = U16>> Cmac<'_, B> {
    /// The pseudo-random function of RFC 5297 section 2.4.
    #[inline(always)]
    fn s2v(&self, associated: &[&[u8]], plaintext: &[u8]) -> [u8; SIV_LEN] {
        let mut mixed = self.key.start;
        // A loop, since a closure would not be compiled for the instructions of the back end.
        for text in associated {
            let (blocks, last) = whole_blocks(text);
            mixed = double(mixed) ^ self.finish(self.chain(0, blocks), last);
        }
        let tag = match plaintext.split_last_chunk::<BLOCK_LEN>() {
            Some((before, end)) => {
                // "xorend": what was mixed goes over the last 16 bytes, which may lie across two
                // blocks of the CMAC.
                let (blocks, rest) = before.as_chunks();
                let state = self.chain(0, blocks);
                let across = rest.len();
                if across == 0 {
                    self.finish_whole(state, u128::from_be_bytes(*end) ^ mixed)
                } else {
                    let bits = 8 * across;
                    let (first, last) = split_end(plaintext, across);
                    let state = encrypt(self.backend, state ^ first ^ (mixed >> bits));
                    self.finish(state ^ (mixed << (128 - bits)), last)
                }
            }
            None => self.finish(double(mixed) ^ pad(plaintext), &[0; BLOCK_LEN]),
        };
        tag.to_be_bytes()
    }

    /// The last block of a CMAC, 0 to 16 bytes.
    #[inline(always)]
    fn finish(&self, state: u128, last: &[u8]) -> u128 {
        let last = match last.try_into() {
            Ok(whole) => u128::from_be_bytes(whole) ^ self.key.subkeys[0],
            Err(_) => pad(last) ^ self.key.subkeys[1],
        };
        encrypt(self.backend, state ^ last)
    }

    /// The last block of a CMAC, 16 bytes.
    #[inline(always)]
    fn finish_whole(&self, state: u128, last: u128) -> u128 {
        encrypt(self.backend, state ^ last ^ self.key.subkeys[0])
    }

    /// The blocks before the last.
    #[inline(always)]
    fn chain(&self, state: u128, blocks: &[[u8; BLOCK_LEN]]) -> u128 {
        let mut state: Block = Array(state.to_be_bytes());
        for block in blocks {
            state.iter_mut().zip(block).for_each(|(state, byte)| *state ^= byte);
            self.backend.encrypt_block((&mut state).into());
        }
        u128::from_be_bytes(state.0)
    }
}

/// AES-CTR from the SIV with two bits cleared (RFC 5297 section 2.5), as many blocks at once as
/// the back end takes.
#[inline(always)]
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
    let parallel = input.len() / stride * stride;
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
    // Whole blocks apart from the last part: their length is then known.
    let whole = rest.len() / BLOCK_LEN * BLOCK_LEN;
    let (blocks, rest) = rest.split_at(whole);
    let (to_blocks, to_rest) = to_rest.split_at_mut(whole);
    for (to, from) in to_blocks.as_chunks_mut().0.iter_mut().zip(blocks.as_chunks().0) {
        let mut key = next();
        backend.encrypt_block((&mut key).into());
        *to = (u128::from_be_bytes(*from) ^ u128::from_be_bytes(key.0)).to_be_bytes();
    }
    for (from, to) in rest.chunks(BLOCK_LEN).zip(to_rest.chunks_mut(BLOCK_LEN)) {
        let mut key = next();
        backend.encrypt_block((&mut key).into());
        to.iter_mut().zip(from.iter().zip(&key)).for_each(|(to, (from, key))| *to = from ^ key);
    }
}

#[inline(always)]
fn encrypt<B: BlockCipherEncBackend<BlockSize = U16>>(backend: &B, block: u128) -> u128 {
    let mut block: Block = Array(block.to_be_bytes());
    backend.encrypt_block((&mut block).into());
    u128::from_be_bytes(block.0)
}

/// Doubling in GF(2^128), in constant time (RFC 5297 section 2.3).
#[inline(always)]
fn double(value: u128) -> u128 {
    (value << 1) ^ (0x87 & (value >> 127).wrapping_neg())
}

/// The block before the last `len` bytes of a text, and those; 1 to 15 of them, of a text of more
/// than 16.
#[inline(always)]
fn split_end(text: &[u8], len: usize) -> (u128, &[u8]) {
    let (before, last) = text.split_at_checked(text.len() - len).unwrap_or_default();
    let block = before.last_chunk().map_or(0, |block| u128::from_be_bytes(*block));
    (block, last)
}

/// `text`, shorter than a block, followed by a one bit and zeros.
#[inline(always)]
fn pad(text: &[u8]) -> u128 {
    // A timestamp, which every message has: no way through memory.
    if let Ok(half) = text.try_into() {
        return (u128::from(u64::from_be_bytes(half)) << 64) | (1 << 63);
    }
    u128::from_be_bytes(*Bytes::of(&[text, &[0x80]]).whole())
}

/// Whole blocks, and a last one of 1 to 16 bytes; of nothing, nothing.
#[inline(always)]
fn whole_blocks(text: &[u8]) -> (&[[u8; BLOCK_LEN]], &[u8]) {
    let last = match text.len() % BLOCK_LEN {
        0 => BLOCK_LEN.min(text.len()),
        rest => rest,
    };
    let (before, last) = text.split_at_checked(text.len() - last).unwrap_or_default();
    (before.as_chunks().0, last)
}
