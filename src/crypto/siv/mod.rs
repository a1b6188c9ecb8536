// SPDX-License-Identifier: Apache-2.0 OR MIT
//! AES-SIV (RFC 5297) as E4 uses it: the key K||K, no nonce string (PROTOCOL section 2).
//!
//! It stands over a block cipher and not over `aes-siv`, because K||K asks for one key schedule where
//! that crate makes three for a message.
//!
//! There are two of it: with `std` a fast one over the `aes` crate, without it a small one over
//! [`crypto::aes`](crate::crypto::aes). The tests compare each of them with `aes-siv`.

#[cfg(feature = "std")]
mod fast;
#[cfg(not(feature = "std"))]
mod small;

#[cfg(feature = "std")]
pub use fast::Siv;
#[cfg(not(feature = "std"))]
pub use small::Siv;

use crate::crypto::keys::KEY_LEN;
use crate::error::Result;
use crate::sizes::SIV_LEN;

const BLOCK_LEN: usize = 16;

/// A key made ready, or one that is used once.
#[derive(Clone, Copy)]
pub(crate) enum Cipher<'k> {
    Ready(&'k Siv),
    Once(&'k [u8; KEY_LEN]),
}

impl Cipher<'_> {
    /// [`Siv::seal`].
    pub fn seal(
        self,
        associated: &[&[u8]],
        siv: &mut [u8; SIV_LEN],
        plaintext: &[u8],
        ciphertext: &mut [u8],
    ) -> Result<()> {
        match self {
            Self::Ready(ready) => ready.seal(associated, siv, plaintext, ciphertext),
            Self::Once(key) => seal(key, associated, siv, plaintext, ciphertext),
        }
    }

    /// [`Siv::open`].
    pub fn open(
        self,
        associated: &[&[u8]],
        siv: &[u8; SIV_LEN],
        ciphertext: &[u8],
        plaintext: &mut [u8],
    ) -> Result<()> {
        match self {
            Self::Ready(ready) => ready.open(associated, siv, ciphertext, plaintext),
            Self::Once(key) => open(key, associated, siv, ciphertext, plaintext),
        }
    }
}

/// [`Siv::seal`] under a key that is used once.
///
/// # Errors
/// [`Error::Internal`] if the lengths differ.
pub fn seal(
    key: &[u8; KEY_LEN],
    associated: &[&[u8]],
    siv: &mut [u8; SIV_LEN],
    plaintext: &[u8],
    ciphertext: &mut [u8],
) -> Result<()> {
    once(key, associated, Tag::Make(siv), plaintext, ciphertext)
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
    once(key, associated, Tag::Check(siv), ciphertext, plaintext)
}

/// The SIV: to be made, or to be checked.
pub(crate) enum Tag<'t> {
    Make(&'t mut [u8; SIV_LEN]),
    Check(&'t [u8; SIV_LEN]),
}

/// Both in one, so that a microcontroller has room for a key in one place.
#[cfg_attr(not(feature = "std"), inline(never))]
fn once(
    key: &[u8; KEY_LEN],
    associated: &[&[u8]],
    tag: Tag<'_>,
    from: &[u8],
    to: &mut [u8],
) -> Result<()> {
    Siv::once(key, |ready| ready.run(associated, tag, from, to))
}
