// SPDX-License-Identifier: Apache-2.0 OR MIT
//! AES-SIV for microcontrollers: byte by byte and in place, since beside the cipher only the room
//! counts that the code takes.

use zeroize::ZeroizeOnDrop;

use super::{BLOCK_LEN, Tag};
use crate::bytes::{copy, wipe};
use crate::crypto::aes::Aes256;
use crate::crypto::keys::{KEY_LEN, is_same};
use crate::error::{Error, Result};
use crate::sizes::SIV_LEN;

type Block = [u8; BLOCK_LEN];

/// A key made ready. Keep it where one key protects many messages; it holds the key schedule,
/// and is wiped when dropped.
pub struct Siv {
    aes: Aes256,
    /// The subkeys K1 and K2 of CMAC (RFC 4493 section 2.3).
    subkeys: [Block; 2],
}

impl Drop for Siv {
    // One copy of it; the cipher wipes itself.
    #[inline(never)]
    fn drop(&mut self) {
        wipe(self.subkeys.as_flattened_mut());
    }
}

impl ZeroizeOnDrop for Siv {}

impl Siv {
    /// Makes a key ready.
    pub fn new(key: &[u8; KEY_LEN]) -> Self {
        let mut siv = Self::EMPTY;
        siv.set(key);
        siv
    }

    const EMPTY: Self = Self { aes: Aes256::EMPTY, subkeys: [[0; BLOCK_LEN]; 2] };

    /// Uses a key once. It is made ready in its place: a copy would take as much stack again.
    pub(crate) fn once<R>(key: &[u8; KEY_LEN], then: impl FnOnce(&Self) -> R) -> R {
        let mut siv = Self::EMPTY;
        siv.set(key);
        then(&siv)
    }

    #[inline(never)]
    fn set(&mut self, key: &[u8; KEY_LEN]) {
        self.aes.set(key);
        // Both are zero.
        self.aes.encrypt(&mut self.subkeys);
        let [whole, padded] = &mut self.subkeys;
        double(whole);
        double(padded);
        double(padded);
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
        self.run(associated, Tag::Make(siv), plaintext, ciphertext)
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
        self.run(associated, Tag::Check(siv), ciphertext, plaintext)
    }

    /// [`Siv::seal`] or [`Siv::open`].
    pub(super) fn run(
        &self,
        associated: &[&[u8]],
        tag: Tag<'_>,
        from: &[u8],
        to: &mut [u8],
    ) -> Result<()> {
        if from.len() != to.len() {
            return Err(Error::Internal);
        }
        copy(to, from);
        let mut made = [0; SIV_LEN];
        if let Tag::Check(siv) = &tag {
            copy(&mut made, *siv);
            self.xor_key_stream(&mut made, to);
        }
        self.s2v(associated, to, &mut made);
        match tag {
            Tag::Make(siv) => {
                copy(siv, &made);
                self.xor_key_stream(&mut made, to);
            }
            Tag::Check(siv) if is_same(&made, siv) => {}
            Tag::Check(_) => {
                wipe(to);
                return Err(Error::InvalidTag);
            }
        }
        Ok(())
    }

    /// The pseudo-random function of RFC 5297 section 2.4. The text is as before afterwards.
    #[inline(never)]
    fn s2v(&self, associated: &[&[u8]], text: &mut [u8], tag: &mut Block) {
        let mut mixed = [0; BLOCK_LEN];
        self.mac(&[0; BLOCK_LEN], &mut mixed);
        for part in associated {
            double(&mut mixed);
            self.mac(part, tag);
            xor(&mut mixed, tag);
        }
        if let Some(end) = text.last_chunk_mut::<BLOCK_LEN>() {
            xor(end, &mixed);
            self.mac(text, tag);
            // The same once more takes it away.
            text.last_chunk_mut::<BLOCK_LEN>().into_iter().for_each(|end| xor(end, &mixed));
        } else {
            double(&mut mixed);
            xor_padded(&mut mixed, text);
            self.mac(&mixed, tag);
        }
    }

    /// CMAC (RFC 4493).
    #[inline(never)]
    fn mac(&self, mut text: &[u8], tag: &mut Block) {
        let [whole, padded] = &self.subkeys;
        // The cipher takes two blocks at a time; here each needs the one before.
        let mut pair = [[0; BLOCK_LEN]; 2];
        loop {
            let [block, _] = &mut pair;
            xor_padded(block, text);
            let rest = text.get(BLOCK_LEN..).unwrap_or_default();
            if rest.is_empty() {
                xor(block, if text.len() == BLOCK_LEN { whole } else { padded });
            }
            self.aes.encrypt(&mut pair);
            if rest.is_empty() {
                break;
            }
            text = rest;
        }
        copy(tag, pair.as_flattened());
    }

    /// AES-CTR from the SIV with two bits cleared (RFC 5297 section 2.5). The second of them is
    /// before the last 31 bits, which count further than there are messages: nothing is carried.
    #[inline(never)]
    fn xor_key_stream(&self, siv: &mut Block, text: &mut [u8]) {
        let [.., bit_63, _, _, _, bit_31, _, _, _] = siv;
        *bit_63 &= 0x7f;
        *bit_31 &= 0x7f;
        for part in text.chunks_mut(2 * BLOCK_LEN) {
            let mut keys = [[0; BLOCK_LEN]; 2];
            for key in &mut keys {
                copy(key, siv);
                let [.., a, b, c, d] = siv;
                let next = u32::from_be_bytes([*a, *b, *c, *d]).wrapping_add(1);
                [*a, *b, *c, *d] = next.to_be_bytes();
            }
            self.aes.encrypt(&mut keys);
            xor(part, keys.as_flattened());
        }
    }
}

/// As far as the shorter one reaches.
#[inline(never)]
fn xor(to: &mut [u8], from: &[u8]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to ^= from);
}

/// `text` as far as a block reaches; where it is shorter, it is followed by a one bit and zeros.
#[inline(never)]
fn xor_padded(to: &mut Block, text: &[u8]) {
    xor(to, text);
    to.iter_mut().skip(text.len()).take(1).for_each(|byte| *byte ^= 0x80);
}

/// Doubling in GF(2^128), in constant time (RFC 5297 section 2.3).
#[inline(never)]
fn double(block: &mut Block) {
    let [first, ..] = *block;
    let mut carry = 0x87 & (first >> 7).wrapping_neg();
    for byte in block.iter_mut().rev() {
        let next = *byte >> 7;
        *byte = (*byte << 1) ^ carry;
        carry = next;
    }
}
