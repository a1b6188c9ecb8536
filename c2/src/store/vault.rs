// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How keys are kept: sealed with AES-SIV (RFC 5297) under a data key, bound to table, column and
//! row. The data key itself is sealed under a key from a passphrase (Argon2id, RFC 9106) or from a
//! key file, so that changing either rewrites one row.

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use argon2::{Algorithm, Argon2, Params, Version};
use e4::crypto::hash::sha3_256;
use zeroize::Zeroizing;

use crate::domain::{Error, Result};

/// A key of AES-256-SIV: two halves.
const DATA_KEY_LEN: usize = 64;
const SALT_LEN: usize = 16;
const FORMAT: u8 = 1;
const DOMAIN: &[u8] = b"e4-c2-v1";
/// RFC 9106 section 4, second recommended option: 64 MiB, 3 passes, here in one lane.
const COST: Cost = Cost { kib: 64 * 1024, passes: 3, lanes: 1 };

/// What the data key is sealed under. Printing it shows its kind alone.
pub enum Unlock {
    /// A passphrase of a person.
    Passphrase(Zeroizing<String>),
    /// The bytes of a key file, 32 at least.
    KeyFile(Zeroizing<Vec<u8>>),
}

impl std::fmt::Debug for Unlock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Unlock::Passphrase(_) => "Passphrase",
            Unlock::KeyFile(_) => "KeyFile",
        })
    }
}

struct Cost {
    kib: u32,
    passes: u32,
    lanes: u32,
}

impl Unlock {
    /// Shortest passphrase, in bytes.
    pub const PASSPHRASE_MIN: usize = 12;
    /// Shortest key file, in bytes.
    pub const KEY_FILE_MIN: usize = 32;

    /// Whether it is long enough.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn check(&self) -> Result<()> {
        match self {
            Unlock::Passphrase(text) if text.len() < Self::PASSPHRASE_MIN => Err(Error::invalid(
                "passphrase",
                format!("shorter than {} bytes", Self::PASSPHRASE_MIN),
            )),
            Unlock::KeyFile(bytes) if bytes.len() < Self::KEY_FILE_MIN => Err(Error::invalid(
                "key file",
                format!("shorter than {} bytes", Self::KEY_FILE_MIN),
            )),
            _ => Ok(()),
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Unlock::Passphrase(_) => 1,
            Unlock::KeyFile(_) => 2,
        }
    }

    fn wrapping_key(&self, salt: &[u8], cost: &Cost) -> Result<Zeroizing<[u8; DATA_KEY_LEN]>> {
        let mut key = Zeroizing::new([0; DATA_KEY_LEN]);
        match self {
            Unlock::Passphrase(text) => {
                Params::new(cost.kib, cost.passes, cost.lanes, Some(DATA_KEY_LEN))
                    .and_then(|params| {
                        Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(
                            text.as_bytes(),
                            salt,
                            &mut *key,
                        )
                    })
                    .map_err(|error| Error::Store(format!("passphrase: {error}")))?;
            }
            // It is random; only its length has to become right.
            Unlock::KeyFile(bytes) => {
                for (number, half) in key.chunks_exact_mut(32).enumerate() {
                    let number = [u8::try_from(number).unwrap_or_default()];
                    half.copy_from_slice(&sha3_256(&[DOMAIN, &number, salt, bytes]));
                }
            }
        }
        Ok(key)
    }
}

/// The data key, in memory while the server runs.
pub struct Vault {
    key: Zeroizing<[u8; DATA_KEY_LEN]>,
}

impl Vault {
    /// A new data key, and how it is stored.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the passphrase or key file is too short; no randomness.
    pub fn create(unlock: &Unlock) -> Result<(Self, Vec<u8>)> {
        let mut key = Zeroizing::new([0; DATA_KEY_LEN]);
        random(&mut *key)?;
        let vault = Self { key };
        let stored = vault.wrap(unlock)?;
        Ok((vault, stored))
    }

    /// The data key as it is stored under a passphrase or key file:
    /// `format (1) | kind (1) | KiB (4) | passes (4) | lanes (4) | salt (16) | sealed key (80)`,
    /// numbers little-endian, everything before the sealed key bound to it.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the passphrase or key file is too short; no randomness.
    pub fn wrap(&self, unlock: &Unlock) -> Result<Vec<u8>> {
        unlock.check()?;
        let mut stored = vec![FORMAT, unlock.kind()];
        for number in [COST.kib, COST.passes, COST.lanes] {
            stored.extend(number.to_le_bytes());
        }
        let mut salt = [0; SALT_LEN];
        random(&mut salt)?;
        stored.extend(salt);
        let wrapping = unlock.wrapping_key(&salt, &COST)?;
        let sealed = seal(&wrapping, &[DOMAIN, &stored], &*self.key)?;
        stored.extend(sealed);
        Ok(stored)
    }

    /// Opens what [`wrap`](Self::wrap) gave.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another passphrase or key file; [`Error::Store`] for another format.
    pub fn unwrap(stored: &[u8], unlock: &Unlock) -> Result<Self> {
        let broken = || Error::Store("the stored data key is not understood".into());
        let (head, sealed) = stored.split_at_checked(14 + SALT_LEN).ok_or_else(broken)?;
        let (fields, salt) = head.split_at_checked(14).ok_or_else(broken)?;
        let (kind, cost) = match fields {
            [FORMAT, kind, k0, k1, k2, k3, p0, p1, p2, p3, l0, l1, l2, l3] => (
                *kind,
                Cost {
                    kib: u32::from_le_bytes([*k0, *k1, *k2, *k3]),
                    passes: u32::from_le_bytes([*p0, *p1, *p2, *p3]),
                    lanes: u32::from_le_bytes([*l0, *l1, *l2, *l3]),
                },
            ),
            _ => return Err(broken()),
        };
        let (field, wrong) = match unlock {
            Unlock::Passphrase(_) => ("passphrase", "is not the one of this database"),
            Unlock::KeyFile(_) => ("key file", "is not the one of this database"),
        };
        if kind != unlock.kind() {
            let other = if kind == 1 { "a passphrase" } else { "a key file" };
            return Err(Error::invalid(field, format!("this database is locked with {other}")));
        }
        // Absurd costs are a sign of damage, not a reason to take all memory.
        if cost.kib > 1 << 22 || cost.passes > 1 << 10 {
            return Err(broken());
        }
        let wrapping = unlock.wrapping_key(salt, &cost)?;
        let opened =
            open(&wrapping, &[DOMAIN, head], sealed).map_err(|_| Error::invalid(field, wrong))?;
        let key: &[u8; DATA_KEY_LEN] = opened.as_slice().try_into().map_err(|_| broken())?;
        Ok(Self { key: Zeroizing::new(*key) })
    }

    /// Seals a key for a place in the database.
    ///
    /// # Errors
    /// None that the inputs can cause.
    pub fn seal(&self, place: &Place, plain: &[u8]) -> Result<Vec<u8>> {
        seal(&self.key, &place.parts(), plain)
    }

    /// Opens what was sealed for the same place.
    ///
    /// # Errors
    /// [`Error::Store`] if it was altered, or moved from another place.
    pub fn open(&self, place: &Place, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        open(&self.key, &place.parts(), sealed).map_err(|_| {
            Error::Store(format!("{}: a stored key was altered or moved", place.column))
        })
    }

    /// A key for fingerprints of what a batch was asked to do: nobody without it can guess what a
    /// fingerprint was made from.
    pub fn batch_key(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(sha3_256(&[DOMAIN, b"batch", &*self.key]))
    }

    /// A key for what proves that a form came from a page of its session.
    pub fn form_key(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(sha3_256(&[DOMAIN, b"form", &*self.key]))
    }

    /// A key for the chain of audit records.
    pub fn audit_key(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(sha3_256(&[DOMAIN, b"audit", &*self.key]))
    }
}

/// Where a sealed key stands: table and column, and the key of the row.
pub struct Place {
    column: &'static str,
    row: [u8; 16],
}

impl Place {
    /// A place.
    pub fn new(column: &'static str, row: i64, epoch: i64) -> Self {
        let mut key = [0; 16];
        let (first, last) = key.split_at_mut(8);
        first.copy_from_slice(&row.to_le_bytes());
        last.copy_from_slice(&epoch.to_le_bytes());
        Self { column, row: key }
    }

    fn parts(&self) -> [&[u8]; 3] {
        [DOMAIN, self.column.as_bytes(), &self.row]
    }
}

fn cipher(key: &[u8; DATA_KEY_LEN]) -> Aes256Siv {
    Aes256Siv::new(key.into())
}

fn seal(key: &[u8; DATA_KEY_LEN], associated: &[&[u8]], plain: &[u8]) -> Result<Vec<u8>> {
    cipher(key)
        .encrypt(associated, plain)
        .map_err(|_| Error::Store("a key could not be sealed".into()))
}

fn open(
    key: &[u8; DATA_KEY_LEN],
    associated: &[&[u8]],
    sealed: &[u8],
) -> std::result::Result<Zeroizing<Vec<u8>>, aes_siv::Error> {
    cipher(key).decrypt(associated, sealed).map(Zeroizing::new)
}

fn random(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|_| Error::Message(e4::Error::Randomness))
}
