// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The two forms of a protected message (PROTOCOL sections 2 and 3).

use crate::error::{Error, Result};
use crate::id::{ClientId, ID_LEN, Mode, Timestamp};
pub use crate::sizes::{SIGNATURE_LEN, SIV_LEN, TIMESTAMP_LEN};

/// What SK protection, and every command, adds to its plaintext.
pub const SK_OVERHEAD: usize = TIMESTAMP_LEN + SIV_LEN;
/// What PK protection adds to its plaintext.
pub const PK_OVERHEAD: usize = SK_OVERHEAD + ID_LEN + SIGNATURE_LEN;

impl Mode {
    /// What protection of a message adds to its plaintext, in bytes: 24 (SK) or 104 (PK).
    pub const fn overhead(self) -> usize {
        match self {
            Mode::Symmetric => SK_OVERHEAD,
            Mode::PublicKey => PK_OVERHEAD,
        }
    }
}

/// `timestamp (8) | SIV (16) | ciphertext`: an SK message, any command, an answer.
#[derive(Clone, Copy)]
pub struct Sealed<'a> {
    /// The timestamp as it stands in the message; it is the associated data.
    pub timestamp: &'a [u8; TIMESTAMP_LEN],
    /// The synthetic IV.
    pub siv: &'a [u8; SIV_LEN],
    /// As long as the plaintext.
    pub ciphertext: &'a [u8],
}

impl<'a> Sealed<'a> {
    /// Splits a message.
    ///
    /// # Errors
    /// [`Error::MessageTooShort`] below 24 bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let (timestamp, rest) = bytes.split_first_chunk().ok_or(Error::MessageTooShort)?;
        let (siv, ciphertext) = rest.split_first_chunk().ok_or(Error::MessageTooShort)?;
        Ok(Self { timestamp, siv, ciphertext })
    }

    /// The moment of protection, as the sender's clock had it.
    pub fn time(&self) -> Timestamp {
        Timestamp::from_bytes(*self.timestamp)
    }
}

/// `timestamp (8) | signer id (16) | SIV (16) | ciphertext | signature (64)`: a PK message.
#[derive(Clone, Copy)]
pub struct Signed<'a> {
    /// Who claims to have signed.
    pub signer: ClientId,
    /// The parts that are sealed.
    pub sealed: Sealed<'a>,
    /// Every byte that is signed.
    pub signed: &'a [u8],
    /// Ed25519 over `signed`.
    pub signature: &'a [u8; SIGNATURE_LEN],
}

impl<'a> Signed<'a> {
    /// Splits a message.
    ///
    /// # Errors
    /// [`Error::MessageTooShort`] below 104 bytes.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let (signed, signature) = bytes.split_last_chunk().ok_or(Error::MessageTooShort)?;
        let (timestamp, rest) = signed.split_first_chunk().ok_or(Error::MessageTooShort)?;
        let (signer, rest) = rest.split_first_chunk().ok_or(Error::MessageTooShort)?;
        let (siv, ciphertext) = rest.split_first_chunk().ok_or(Error::MessageTooShort)?;
        Ok(Self {
            signer: ClientId::from_bytes(*signer),
            sealed: Sealed { timestamp, siv, ciphertext },
            signed,
            signature,
        })
    }
}

/// The parts of an output buffer that becomes an SK message, a command or an answer.
pub(crate) struct SealedMut<'o> {
    pub timestamp: &'o mut [u8; TIMESTAMP_LEN],
    pub siv: &'o mut [u8; SIV_LEN],
    pub ciphertext: &'o mut [u8],
}

impl<'o> SealedMut<'o> {
    pub fn split(out: &'o mut [u8], plaintext: usize) -> Result<Self> {
        let (start, rest) =
            out.split_first_chunk_mut::<SK_OVERHEAD>().ok_or(Error::BufferTooSmall)?;
        let ciphertext = rest.get_mut(..plaintext).ok_or(Error::BufferTooSmall)?;
        let (timestamp, rest) = start.split_first_chunk_mut().ok_or(Error::Internal)?;
        let siv = rest.first_chunk_mut().ok_or(Error::Internal)?;
        Ok(Self { timestamp, siv, ciphertext })
    }
}
