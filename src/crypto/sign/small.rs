// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Ed25519 for microcontrollers: the points are curve25519-dalek's, the arithmetic modulo the group
//! order is ours: that of the crate is written out for speed, and takes thirty times the room.

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::scalar::{Number, Wide, is_canonical, multiply_add, reduce};
use super::sha512::sha512;
use super::{PRIVATE_KEY_LEN, equation};
use crate::bytes::wipe;
use crate::crypto::keys::{KEY_LEN, is_same};
use crate::sizes::SIGNATURE_LEN;

/// A public key. The point is decoded where it is used: it would take five times the room.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Public([u8; KEY_LEN]);

impl Public {
    /// Only a canonical point that is not of small order.
    pub fn checked(bytes: &[u8; KEY_LEN]) -> Option<Self> {
        (is_reduced(bytes) && decode(bytes).is_some()).then_some(Self(*bytes))
    }

    /// Of bytes that were checked before.
    pub fn stored(bytes: &[u8; KEY_LEN]) -> Option<Self> {
        Some(Self(*bytes))
    }

    pub fn as_bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }

    /// The neutral point, with which nothing is agreed, if the bytes were never checked.
    pub fn point(&self) -> EdwardsPoint {
        decode(&self.0).unwrap_or_default()
    }

    pub fn is_signed(&self, message: &[u8], signature: &[u8; SIGNATURE_LEN]) -> bool {
        let [r, s] = halves(signature);
        if !is_canonical(s) || !is_reduced(r) {
            return false;
        }
        let (Some(key), Some(nonce)) = (decode(&self.0), decode(r)) else { return false };
        let k = reduce(&mut sha512(&[r, &self.0, message]));
        equation::holds(s, &k, &key, &nonce)
    }
}

/// A key pair.
#[derive(Clone)]
pub struct Pair {
    seed: [u8; KEY_LEN],
    public: [u8; KEY_LEN],
}

impl Pair {
    pub fn from_seed(seed: &[u8; KEY_LEN]) -> Self {
        let mut pair = Self { seed: *seed, public: [0; KEY_LEN] };
        pair.public = multiply_base(&pair.scalar());
        pair
    }

    /// Only if the halves match.
    pub fn from_bytes(bytes: &[u8; PRIVATE_KEY_LEN]) -> Option<Self> {
        let [seed, public] = halves(bytes);
        let pair = Self::from_seed(seed);
        is_same(&pair.public, public).then_some(pair)
    }

    pub fn to_bytes(&self) -> Zeroizing<[u8; PRIVATE_KEY_LEN]> {
        Zeroizing::new(joined(&self.seed, &self.public))
    }

    pub fn public(&self) -> Public {
        Public(self.public)
    }

    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_LEN] {
        let mut expanded = self.expand();
        let [scalar, prefix] = &expanded;
        let mut nonce = reduce(&mut sha512(&[prefix, message]));
        let r = multiply_base(&nonce);
        let k = reduce(&mut sha512(&[&r, &self.public, message]));
        let s = multiply_add(&k, scalar, &nonce);
        wipe(&mut nonce);
        wipe(expanded.as_flattened_mut());
        joined(&r, &s)
    }

    /// The secret scalar, clamped and not reduced.
    pub fn scalar(&self) -> Zeroizing<Number> {
        let mut expanded = self.expand();
        let [scalar, _] = expanded;
        wipe(expanded.as_flattened_mut());
        Zeroizing::new(scalar)
    }

    /// The secret scalar, and the secret from which nonces are made.
    fn expand(&self) -> Wide {
        let mut expanded = sha512(&[&self.seed]);
        let [scalar, _] = &mut expanded;
        *scalar = clamp_integer(*scalar);
        expanded
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        wipe(&mut self.seed);
    }
}

impl ZeroizeOnDrop for Pair {}

/// The encoded multiple of the base point, by a secret less than 2^255.
#[cfg_attr(not(feature = "std"), inline(never))]
fn multiply_base(secret: &Number) -> [u8; KEY_LEN] {
    let mut scalar = Scalar::from_bits(*secret);
    let point = EdwardsPoint::mul_base(&scalar);
    scalar.zeroize();
    encode(&point)
}

/// A point that is not of small order.
#[cfg_attr(not(feature = "std"), inline(never))]
fn decode(bytes: &[u8; KEY_LEN]) -> Option<EdwardsPoint> {
    CompressedEdwardsY(*bytes).decompress().filter(|point| !point.is_small_order())
}

#[cfg_attr(not(feature = "std"), inline(never))]
fn encode(point: &EdwardsPoint) -> [u8; KEY_LEN] {
    point.compress().to_bytes()
}

/// Whether y is less than p. The decoder takes others, and the wrong sign of x = 0, where the order is
/// small.
fn is_reduced(encoded: &[u8; KEY_LEN]) -> bool {
    let [first, middle @ .., last] = encoded;
    *first < 0xed || middle.iter().any(|byte| *byte != 0xff) || last | 0x80 != 0xff
}

fn halves(bytes: &[u8; 64]) -> &[[u8; 32]; 2] {
    // The length is known to the compiler.
    bytes.as_chunks().0.try_into().unwrap_or(&[[0; 32]; 2])
}

fn joined(one: &[u8; 32], other: &[u8; 32]) -> [u8; 64] {
    let mut bytes = [0; 64];
    let (first, second) = bytes.split_at_mut(one.len());
    first.copy_from_slice(one);
    second.copy_from_slice(other);
    bytes
}
