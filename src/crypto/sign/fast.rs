// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Ed25519 for hosts, over ed25519-dalek.

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::clamp_integer;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::PRIVATE_KEY_LEN;
use crate::crypto::keys::KEY_LEN;
use crate::sizes::SIGNATURE_LEN;

/// A public key, and its point.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Public(VerifyingKey);

impl Public {
    /// Only a canonical point that is not of small order.
    pub fn checked(bytes: &[u8; KEY_LEN]) -> Option<Self> {
        let key = VerifyingKey::from_bytes(bytes).ok()?;
        // The decoder takes y >= p; compressing again shows it.
        let canonical = key.to_edwards().compress().to_bytes() == *bytes;
        (canonical && !key.is_weak()).then_some(Self(key))
    }

    /// Of bytes that were checked before.
    pub fn stored(bytes: &[u8; KEY_LEN]) -> Option<Self> {
        VerifyingKey::from_bytes(bytes).ok().map(Self)
    }

    pub fn as_bytes(&self) -> &[u8; KEY_LEN] {
        self.0.as_bytes()
    }

    pub fn point(&self) -> EdwardsPoint {
        self.0.to_edwards()
    }

    pub fn is_signed(&self, message: &[u8], signature: &[u8; SIGNATURE_LEN]) -> bool {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

/// A key pair.
#[derive(Clone, ZeroizeOnDrop)]
pub struct Pair(SigningKey);

impl Pair {
    pub fn from_seed(seed: &[u8; KEY_LEN]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Only if the halves match.
    pub fn from_bytes(bytes: &[u8; PRIVATE_KEY_LEN]) -> Option<Self> {
        SigningKey::from_keypair_bytes(bytes).ok().map(Self)
    }

    pub fn to_bytes(&self) -> Zeroizing<[u8; PRIVATE_KEY_LEN]> {
        Zeroizing::new(self.0.to_keypair_bytes())
    }

    pub fn public(&self) -> Public {
        Public(self.0.verifying_key())
    }

    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_LEN] {
        self.0.sign(message).to_bytes()
    }

    /// The secret scalar, clamped and not reduced.
    pub fn scalar(&self) -> Zeroizing<[u8; KEY_LEN]> {
        Zeroizing::new(clamp_integer(self.0.to_scalar_bytes()))
    }
}
