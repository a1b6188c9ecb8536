// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who a client is: its id and the keys that it shares with C2.

#[cfg(feature = "pubkey")]
use crate::crypto::agree::C2PublicKey;
#[cfg(feature = "pubkey")]
use crate::crypto::keys::SharedKey;
use crate::crypto::keys::{IdKey, KEY_LEN};
#[cfg(feature = "pubkey")]
use crate::crypto::sign::{PublicKey, SigningKey};
#[cfg(any(feature = "pubkey", feature = "password"))]
use crate::error::Result;
use crate::id::{ClientId, ID_LEN, Mode};

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
    /// What stands in the place of an identity until there is one.
    pub(super) const fn nobody() -> Self {
        Self::symmetric(ClientId::from_bytes([0; ID_LEN]), IdKey::none())
    }

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
        let shared = SharedKey::for_client(&signing, &c2)?;
        Ok(Self { id, keys: Keys::KeyPair { signing, c2, shared } })
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
        match self.keys {
            Keys::Symmetric(_) => Mode::Symmetric,
            #[cfg(feature = "pubkey")]
            Keys::KeyPair { .. } => Mode::PublicKey,
        }
    }

    /// The public key by which others check this client's signatures (PK).
    #[cfg(feature = "pubkey")]
    pub fn public(&self) -> Option<PublicKey> {
        match &self.keys {
            Keys::Symmetric(_) => None,
            Keys::KeyPair { signing, .. } => Some(signing.public()),
        }
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The key under which C2's commands come and answers go.
    pub(crate) fn command_key(&self) -> &[u8; KEY_LEN] {
        match &self.keys {
            Keys::Symmetric(key) => key.expose(),
            #[cfg(feature = "pubkey")]
            Keys::KeyPair { shared, .. } => shared.expose(),
        }
    }
}

impl core::fmt::Debug for Identity {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Identity").field("id", &self.id).field("mode", &self.mode()).finish()
    }
}
