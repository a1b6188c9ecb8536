// SPDX-License-Identifier: Apache-2.0 OR MIT
//! AES-SIV itself, for vectors; the version.

use e4::Error;
use e4::crypto::siv;
use std::sync::Arc;

use crate::failure::Result;
use crate::keys::TopicKey;

/// The version of the library.
#[uniffi::export]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").into()
}

/// AES-SIV (RFC 5297) under one key for both halves: SIV (16) and ciphertext.
#[uniffi::export]
pub fn siv_seal(key: Arc<TopicKey>, plaintext: Vec<u8>, associated: Vec<u8>) -> Result<Vec<u8>> {
    key.0.with(|key| {
        let mut out = vec![0; plaintext.len() + 16];
        let (to, ciphertext) = out.split_first_chunk_mut().ok_or(Error::Internal)?;
        siv::seal(key.expose(), &[&associated], to, &plaintext, ciphertext)?;
        Ok(out)
    })
}

/// Opens what `siv_seal` made.
#[uniffi::export]
pub fn siv_open(key: Arc<TopicKey>, sealed: Vec<u8>, associated: Vec<u8>) -> Result<Vec<u8>> {
    key.0.with(|key| {
        let (tag, ciphertext) = sealed.split_first_chunk().ok_or(Error::MessageTooShort)?;
        let mut out = vec![0; ciphertext.len()];
        siv::open(key.expose(), &[&associated], tag, ciphertext, &mut out)?;
        Ok(out)
    })
}
