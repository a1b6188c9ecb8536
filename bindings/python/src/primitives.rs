// SPDX-License-Identifier: Apache-2.0 OR MIT
//! AES-SIV itself, for vectors and measurements.

use e4::Error;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::args::Data;
use crate::errors::raise;
use crate::keys::{TopicKey, new_bytes};

/// AES-SIV (RFC 5297) under ``key`` for both halves: SIV (16) and ciphertext.
#[pyfunction]
pub fn siv_seal<'py>(
    py: Python<'py>,
    key: &TopicKey,
    plaintext: Data<'_>,
    associated: Data<'_>,
) -> PyResult<Bound<'py, PyBytes>> {
    new_bytes(py, plaintext.len() + 16, plaintext.len(), |out| {
        let (to, ciphertext) = out.split_first_chunk_mut().ok_or(Error::Internal)?;
        key.cipher().siv().seal(&[&associated], to, &plaintext, ciphertext)?;
        Ok(())
    })
}

/// Opens what ``siv_seal`` made.
///
/// Raises MessageTooShortError below 16 bytes, InvalidTagError.
#[pyfunction]
pub fn siv_open<'py>(
    py: Python<'py>,
    key: &TopicKey,
    sealed: Data<'_>,
    associated: Data<'_>,
) -> PyResult<Bound<'py, PyBytes>> {
    let (tag, ciphertext) =
        sealed.split_first_chunk().ok_or_else(|| raise(py, Error::MessageTooShort))?;
    new_bytes(py, ciphertext.len(), ciphertext.len(), |out| {
        key.cipher().siv().open(&[&associated], tag, ciphertext, out)
    })
}
