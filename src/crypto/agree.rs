// SPDX-License-Identifier: Apache-2.0 OR MIT
//! X25519 (RFC 7748): C2's key pair and the key that it shares with a PK client
//! (PROTOCOL section 6).

use core::fmt;

use curve25519_dalek::montgomery::MontgomeryPoint;
use zeroize::Zeroizing;

use crate::crypto::hash::sha3_256;
use crate::crypto::keys::{KEY_LEN, SharedKey, is_zero, secret_key};
use crate::crypto::reveal;
use crate::crypto::sign::{PublicKey, SigningKey};
use crate::error::{Error, Result};

secret_key! {
    /// C2's X25519 private key.
    C2SecretKey
}

impl C2SecretKey {
    /// The public half.
    pub fn public(&self) -> C2PublicKey {
        let secret = x25519_dalek::StaticSecret::from(*self.expose());
        C2PublicKey(*x25519_dalek::PublicKey::from(&secret).as_bytes())
    }
}

/// C2's X25519 public key: 32 bytes that do not stand for a point of small order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct C2PublicKey([u8; KEY_LEN]);

/// One point of order 8; with 0 and 1 and the sign these are all u-coordinates of small order
/// on the curve and its twist (RFC 7748 section 6.1 asks for the check of the result; this one
/// lets a key be refused before there is anything to multiply).
const SMALL_ORDER: [[u8; KEY_LEN]; 7] = [
    [0; KEY_LEN],
    small(1),
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4,
        0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49,
        0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef,
        0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f,
        0x11, 0x57,
    ],
    near_p(0xec),
    near_p(0xed),
    near_p(0xee),
];

const fn small(value: u8) -> [u8; KEY_LEN] {
    let mut bytes = [0; KEY_LEN];
    bytes[0] = value;
    bytes
}

const fn near_p(lowest: u8) -> [u8; KEY_LEN] {
    let mut bytes = [0xff; KEY_LEN];
    bytes[0] = lowest;
    bytes[KEY_LEN - 1] = 0x7f;
    bytes
}

impl C2PublicKey {
    /// From its 32 bytes.
    ///
    /// # Errors
    /// [`Error::InvalidKey`] for another length or a point of small order.
    pub fn from_slice(bytes: &[u8]) -> Result<Self> {
        let bytes: &[u8; KEY_LEN] = bytes.try_into().map_err(|_| Error::InvalidKey)?;
        let bytes = &reveal(*bytes);
        // X25519 ignores the highest bit.
        let mut reduced = *bytes;
        reduced[KEY_LEN - 1] &= 0x7f;
        if SMALL_ORDER.contains(&reduced) {
            return Err(Error::InvalidKey);
        }
        Ok(Self(*bytes))
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }
}

impl fmt::Debug for C2PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("C2PublicKey(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

impl SharedKey {
    /// The client's side: its key pair and C2's public key.
    ///
    /// # Errors
    /// [`Error::InvalidKey`] if the agreement gives zero.
    pub fn for_client(client: &SigningKey, c2: &C2PublicKey) -> Result<Self> {
        // Bit by bit here: over a scalar, the crate indexes its bytes, which is a panic that the
        // compiler keeps.
        let scalar = to_x25519_secret(client);
        let bits =
            scalar.iter().rev().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
        Self::from_agreed(MontgomeryPoint(c2.0).mul_bits_be(bits.map(|bit| bit == 1)))
    }

    /// C2's side: its private key and the client's public key.
    ///
    /// # Errors
    /// [`Error::InvalidKey`] if the agreement gives zero.
    pub fn for_c2(c2: &C2SecretKey, client: &PublicKey) -> Result<Self> {
        // The same point as X25519 with the converted key, for half the work: the multiplication
        // is done on the Edwards curve, and only its result is converted.
        let point = client.point().mul_clamped(*c2.expose());
        Self::from_agreed(point.to_montgomery())
    }

    fn from_agreed(point: MontgomeryPoint) -> Result<Self> {
        let agreed = Zeroizing::new(point.to_bytes());
        if is_zero(&*agreed) {
            return Err(Error::InvalidKey);
        }
        Self::new_with(|key| {
            *key = sha3_256(&[&*agreed]);
            Ok(())
        })
    }
}

/// The X25519 public key of an Ed25519 public key: u = (1 + y) / (1 - y).
pub fn to_x25519(key: &PublicKey) -> [u8; KEY_LEN] {
    key.point().to_montgomery().to_bytes()
}

/// The X25519 private key of an Ed25519 key pair: the clamped first half of SHA-512(seed).
pub fn to_x25519_secret(key: &SigningKey) -> Zeroizing<[u8; KEY_LEN]> {
    key.scalar()
}
