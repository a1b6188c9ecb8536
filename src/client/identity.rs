// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who a client is: its id and the keys that it shares with C2.

#[cfg(feature = "pubkey")]
use crate::crypto::agree::C2PublicKey;
#[cfg(feature = "pubkey")]
use crate::crypto::keys::SharedKey;
use crate::crypto::keys::{IdKey, KEY_LEN, checked};
#[cfg(feature = "pubkey")]
use crate::crypto::sign::{PublicKey, SigningKey};
use crate::error::{Error, Result};
use crate::id::{ClientId, Mode};
#[cfg(feature = "pubkey")]
use crate::sizes::PRIVATE_KEY_LEN;

/// What a client is provisioned with: its id and its keys. Printing it gives neither key.
pub struct Identity {
    id: ClientId,
    keys: Keys,
}

// One identity lives as long as its client; a box would save nothing where there is no heap.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Keys {
    Symmetric(IdKey),
    #[cfg(feature = "pubkey")]
    KeyPair {
        signing: SigningKey,
        c2: C2PublicKey,
        shared: SharedKey,
    },
}

impl Identity {
    /// An SK client.
    pub const fn symmetric(id: ClientId, key: IdKey) -> Self {
        Self { id, keys: Keys::Symmetric(key) }
    }

    /// An SK client, id and key made from a name and a password as e4go and libe4 do.
    ///
    /// # Errors
    /// [`InvalidName`](crate::Error::InvalidName), [`InvalidPassword`](crate::Error::InvalidPassword),
    /// [`OutOfMemory`](crate::Error::OutOfMemory).
    #[cfg(feature = "password")]
    pub fn symmetric_from_password(name: &str, password: &str) -> Result<Self> {
        let id = ClientId::from_name(name)?;
        Ok(Self::symmetric(id, crate::crypto::password::id_key_from_password(password)?))
    }

    /// A PK client.
    ///
    /// # Errors
    /// [`InvalidKey`](crate::Error::InvalidKey) if no key can be agreed on with C2.
    #[cfg(feature = "pubkey")]
    pub fn public_key(id: ClientId, signing: SigningKey, c2: C2PublicKey) -> Result<Self> {
        Ok(Self { id, keys: Keys::pair(signing, c2)? })
    }

    /// A PK client, id and key pair made from a name and a password as e4go does.
    ///
    /// # Errors
    /// [`InvalidName`](crate::Error::InvalidName), [`InvalidPassword`](crate::Error::InvalidPassword),
    /// [`InvalidKey`](crate::Error::InvalidKey), [`OutOfMemory`](crate::Error::OutOfMemory).
    #[cfg(all(feature = "pubkey", feature = "password"))]
    pub fn public_key_from_password(name: &str, password: &str, c2: C2PublicKey) -> Result<Self> {
        let id = ClientId::from_name(name)?;
        Self::public_key(id, crate::crypto::password::signing_key_from_password(password)?, c2)
    }

    /// The id.
    pub const fn id(&self) -> ClientId {
        self.id
    }

    /// The mode.
    pub const fn mode(&self) -> Mode {
        self.keys.mode()
    }

    pub(super) fn into_keys(self) -> Keys {
        self.keys
    }
}

impl Keys {
    /// What stands in the place of keys until there are some.
    pub const NONE: Self = Self::Symmetric(IdKey::none());

    pub const fn mode(&self) -> Mode {
        match self {
            Keys::Symmetric(_) => Mode::Symmetric,
            #[cfg(feature = "pubkey")]
            Keys::KeyPair { .. } => Mode::PublicKey,
        }
    }

    #[cfg(feature = "pubkey")]
    pub fn pair(signing: SigningKey, c2: C2PublicKey) -> Result<Self> {
        let shared = SharedKey::for_client(&signing, &c2)?;
        Ok(Self::KeyPair { signing, c2, shared })
    }

    /// The public key by which others check this client's signatures (PK).
    #[cfg(feature = "pubkey")]
    pub fn public(&self) -> Option<PublicKey> {
        match self {
            Keys::Symmetric(_) => None,
            Keys::KeyPair { signing, .. } => Some(signing.public()),
        }
    }

    /// The key under which C2's commands come and answers go.
    pub fn command_key(&self) -> &[u8; KEY_LEN] {
        match self {
            Keys::Symmetric(key) => key.expose(),
            #[cfg(feature = "pubkey")]
            Keys::KeyPair { shared, .. } => shared.expose(),
        }
    }

    /// The keys as they stand in the head: the id key (32), or the private key (64) and C2's public
    /// key (32).
    pub fn each_part(&self, each: &mut dyn FnMut(&[u8])) {
        match self {
            Keys::Symmetric(key) => each(key.expose()),
            #[cfg(feature = "pubkey")]
            Keys::KeyPair { signing, c2, .. } => {
                each(&*signing.expose());
                each(c2.as_bytes());
            }
        }
    }

    /// Reads what [`Keys::each_part`] has given.
    ///
    /// # Errors
    /// [`Error::StateIncompatible`] for another mode or length, [`Error::InvalidKey`].
    pub fn read(&mut self, mode: u8, keys: &[u8]) -> Result<()> {
        match (mode, keys.len()) {
            (SYMMETRIC, KEY_LEN) => {
                let key = checked(keys)?;
                *self = Self::NONE;
                self.set_symmetric(key);
            }
            #[cfg(feature = "pubkey")]
            (PUBLIC_KEY, PAIR_LEN) => {
                let (signing, c2) = keys.split_at_checked(PRIVATE_KEY_LEN).unwrap_or_default();
                *self = Self::pair(SigningKey::from_slice(signing)?, C2PublicKey::from_slice(c2)?)?;
            }
            _ => return Err(Error::StateIncompatible),
        }
        Ok(())
    }

    /// Becomes other keys of the same mode.
    pub fn replace(&mut self, other: &mut Self) {
        match other {
            Self::Symmetric(key) => self.set_symmetric(key.expose()),
            #[cfg(feature = "pubkey")]
            other => core::mem::swap(self, other),
        }
    }

    /// Becomes the id key of an SK client that it was already.
    fn set_symmetric(&mut self, key: &[u8; KEY_LEN]) {
        match self {
            Self::Symmetric(own) => own.set(key),
            #[cfg(feature = "pubkey")]
            Self::KeyPair { .. } => {}
        }
    }
}

const SYMMETRIC: u8 = Mode::Symmetric as u8;
#[cfg(feature = "pubkey")]
const PUBLIC_KEY: u8 = Mode::PublicKey as u8;
/// A private key, and C2's public key.
#[cfg(feature = "pubkey")]
const PAIR_LEN: usize = PRIVATE_KEY_LEN + KEY_LEN;

impl core::fmt::Debug for Identity {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Identity").field("id", &self.id).field("mode", &self.mode()).finish()
    }
}
