// SPDX-License-Identifier: Apache-2.0 OR MIT
//! AES-SIV (RFC 5297) as E4 uses it: the key K||K, no nonce string (PROTOCOL section 2).

use aes_siv::aead::inout::InOutBuf;
use aes_siv::siv::Aes256Siv;
use aes_siv::{KeyInit, Tag};
use zeroize::{Zeroize, Zeroizing};

use crate::crypto::keys::KEY_LEN;
use crate::error::{Error, Result};
use crate::wire::message::SIV_LEN;

fn cipher(key: &[u8; KEY_LEN]) -> Aes256Siv {
    let mut both = Zeroizing::new([0u8; 2 * KEY_LEN]);
    both.iter_mut().zip(key.iter().chain(key)).for_each(|(to, from)| *to = *from);
    Aes256Siv::new((&*both).into())
}

/// Encrypts `plaintext` into `ciphertext`, which has the same length, and returns the SIV.
///
/// # Errors
/// [`Error::Internal`] if the lengths differ or there are more than 126 associated strings.
pub fn seal(
    key: &[u8; KEY_LEN],
    associated: &[&[u8]],
    plaintext: &[u8],
    ciphertext: &mut [u8],
) -> Result<[u8; SIV_LEN]> {
    let buffer = InOutBuf::new(plaintext, ciphertext).map_err(|_| Error::Internal)?;
    let siv = cipher(key).encrypt_inout_detached(associated, buffer);
    Ok(siv.map_err(|_| Error::Internal)?.into())
}

/// Decrypts `ciphertext` into `plaintext`, which has the same length and is wiped on failure.
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
    let buffer = InOutBuf::new(ciphertext, &mut *plaintext).map_err(|_| Error::Internal)?;
    let opened = cipher(key).decrypt_inout_detached(associated, buffer, &Tag::from(*siv));
    if opened.is_err() {
        plaintext.zeroize();
    }
    opened.map_err(|_| Error::InvalidTag)
}
