// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Ed25519 (RFC 8032): a client's key pair, and the strict check of signatures.

use core::fmt;

use ed25519_dalek::{Signature, Signer, Verifier, VerifyingKey};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::crypto::keys::{KEY_LEN, is_zero};
use crate::crypto::reveal;
use crate::error::{Error, Result};
pub use crate::sizes::PRIVATE_KEY_LEN;
use crate::sizes::SIGNATURE_LEN;

/// The Ed25519 public key of a client: 32 bytes, canonical, on the curve, not of small order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// From its 32 bytes.
    ///
    /// # Errors
    /// [`Error::InvalidKey`] for another length, a value that RFC 8032 section 5.1.3 does not
    /// decode, or a point of small order.
    pub fn from_slice(bytes: &[u8]) -> Result<Self> {
        let bytes: &[u8; KEY_LEN] = bytes.try_into().map_err(|_| Error::InvalidKey)?;
        let bytes = &reveal(*bytes);
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| Error::InvalidKey)?;
        // The decoder takes y >= p; compressing again shows it.
        let canonical = key.to_edwards().compress().to_bytes() == *bytes;
        if key.is_weak() || !canonical {
            return Err(Error::InvalidKey);
        }
        Ok(Self(key))
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
        let signature = Signature::from_bytes(signature);
        // What makes `verify_strict` of the plain `verify`, but in a frame of its own: the point of
        // the signature is not to lie under the multiplication.
        if is_weak(signature.r_bytes()) || self.0.is_weak() {
            return Err(Error::SignatureInvalid);
        }
        self.0.verify(message, &signature).map_err(|_| Error::SignatureInvalid)
    }

    /// From bytes that were checked before they were stored; spares the checks beyond decoding.
    pub(crate) fn from_stored(bytes: &[u8; KEY_LEN]) -> Result<Self> {
        VerifyingKey::from_bytes(&reveal(*bytes)).map(Self).map_err(|_| Error::InvalidKey)
    }

    pub(crate) fn inner(&self) -> &VerifyingKey {
        &self.0
    }
}

/// Whether this is not a point, or one of small order.
#[cfg_attr(not(feature = "std"), inline(never))]
fn is_weak(point: &[u8; KEY_LEN]) -> bool {
    VerifyingKey::from_bytes(point).map_or(true, |point| point.is_weak())
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
pub struct SigningKey(ed25519_dalek::SigningKey);

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
        let key = ed25519_dalek::SigningKey::from_keypair_bytes(bytes);
        Ok(Self(key.map_err(|_| Error::InvalidKey)?))
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
        Ok(Self(ed25519_dalek::SigningKey::from_bytes(seed)))
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
        PublicKey(self.0.verifying_key())
    }

    /// The 64 secret bytes, seed and then public key, for storing them in a safe place.
    pub fn expose(&self) -> Zeroizing<[u8; PRIVATE_KEY_LEN]> {
        Zeroizing::new(self.0.to_keypair_bytes())
    }

    /// Signs a message (plain Ed25519, deterministic).
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_LEN] {
        self.0.sign(message).to_bytes()
    }

    pub(crate) fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    pub(crate) fn inner(&self) -> &ed25519_dalek::SigningKey {
        &self.0
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}
