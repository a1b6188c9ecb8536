// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Ed25519 (RFC 8032): a client's key pair, and the strict check of signatures.
//!
//! There are two of it: with `std` a fast one over ed25519-dalek, without it a small one over the
//! points of curve25519-dalek. The tests compare them.

#[cfg(any(test, not(feature = "std")))]
mod equation;
#[cfg(feature = "std")]
mod fast;
#[cfg(any(test, not(feature = "std")))]
mod ratio;
#[cfg(any(test, not(feature = "std")))]
mod scalar;
#[cfg(any(test, not(feature = "std")))]
mod sha512;
#[cfg(any(test, not(feature = "std")))]
mod small;
#[cfg(all(test, feature = "std"))]
mod tests;

use core::fmt;

use curve25519_dalek::edwards::EdwardsPoint;
#[cfg(feature = "std")]
use fast::{Pair, Public};
#[cfg(not(feature = "std"))]
use small::{Pair, Public};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::crypto::keys::{KEY_LEN, is_zero};
use crate::crypto::reveal;
use crate::error::{Error, Result};
pub use crate::sizes::PRIVATE_KEY_LEN;
use crate::sizes::SIGNATURE_LEN;

/// The Ed25519 public key of a client: 32 bytes, canonical, on the curve, not of small order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(Public);

impl PublicKey {
    /// From its 32 bytes.
    ///
    /// # Errors
    /// [`Error::InvalidKey`] for another length, a value that RFC 8032 section 5.1.3 does not
    /// decode, or a point of small order.
    pub fn from_slice(bytes: &[u8]) -> Result<Self> {
        let bytes: &[u8; KEY_LEN] = bytes.try_into().map_err(|_| Error::InvalidKey)?;
        Public::checked(&reveal(*bytes)).map(Self).ok_or(Error::InvalidKey)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; KEY_LEN] {
        self.0.as_bytes()
    }

    /// Checks a signature strictly: canonical S, no point of small order.
    ///
    /// # Errors
    /// [`Error::SignatureInvalid`].
    #[cfg_attr(not(feature = "std"), inline(never))]
    pub fn verify(&self, message: &[u8], signature: &[u8; SIGNATURE_LEN]) -> Result<()> {
        if self.0.is_signed(message, signature) { Ok(()) } else { Err(Error::SignatureInvalid) }
    }

    /// From bytes that were checked before they were stored; spares the checks beyond decoding.
    pub(crate) fn from_stored(bytes: &[u8; KEY_LEN]) -> Result<Self> {
        Public::stored(&reveal(*bytes)).map(Self).ok_or(Error::InvalidKey)
    }

    pub(crate) fn point(&self) -> EdwardsPoint {
        self.0.point()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey(")?;
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

/// The Ed25519 key pair of a client. Wiped when dropped; printing it gives its type alone.
#[derive(ZeroizeOnDrop)]
pub struct SigningKey(Pair);

impl SigningKey {
    /// From the 64 bytes on the wire and on disk: seed, then public key.
    ///
    /// # Errors
    /// [`Error::InvalidKey`] for another length, a seed of all zero, or halves that do not match.
    pub fn from_slice(bytes: &[u8]) -> Result<Self> {
        let bytes: &[u8; PRIVATE_KEY_LEN] = bytes.try_into().map_err(|_| Error::InvalidKey)?;
        if bytes.first_chunk::<KEY_LEN>().is_none_or(|seed| is_zero(seed)) {
            return Err(Error::InvalidKey);
        }
        Pair::from_bytes(bytes).map(Self).ok_or(Error::InvalidKey)
    }

    /// From the 32-byte seed.
    ///
    /// # Errors
    /// [`Error::InvalidKey`] for another length or all zero.
    pub fn from_seed(seed: &[u8]) -> Result<Self> {
        let seed: &[u8; KEY_LEN] = seed.try_into().map_err(|_| Error::InvalidKey)?;
        if is_zero(seed) {
            return Err(Error::InvalidKey);
        }
        Ok(Self(Pair::from_seed(seed)))
    }

    /// A random key pair from the operating system.
    ///
    /// # Errors
    /// [`Error::Randomness`].
    #[cfg(feature = "std")]
    pub fn random() -> Result<Self> {
        let mut seed = Zeroizing::new([0u8; KEY_LEN]);
        crate::crypto::keys::fill_random(&mut *seed)?;
        Self::from_seed(&*seed)
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.public())
    }

    /// The 64 secret bytes, seed and then public key, for storing them in a safe place.
    pub fn expose(&self) -> Zeroizing<[u8; PRIVATE_KEY_LEN]> {
        self.0.to_bytes()
    }

    /// Signs a message (plain Ed25519, deterministic).
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_LEN] {
        self.0.sign(message)
    }

    pub(crate) fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    /// The secret scalar, clamped.
    pub(crate) fn scalar(&self) -> Zeroizing<[u8; KEY_LEN]> {
        self.0.scalar()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}
