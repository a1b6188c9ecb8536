// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The commands of C2 (PROTOCOL section 4), with their keys checked.

use core::fmt;

use crate::bytes::{Bytes, field};
#[cfg(feature = "pubkey")]
use crate::crypto::agree::C2PublicKey;
use crate::crypto::keys::{IdKey, TopicKey};
use crate::crypto::reveal;
#[cfg(feature = "pubkey")]
use crate::crypto::sign::{PublicKey, SigningKey};
use crate::error::{Error, Result};
#[cfg(feature = "pubkey")]
use crate::id::ClientId;
use crate::id::{ID_LEN, Mode, TopicHash};
use crate::sizes::KEY_LEN;
#[cfg(feature = "pubkey")]
use crate::sizes::PRIVATE_KEY_LEN;

/// Length of the longest command, SetIdKey of a PK client.
pub const COMMAND_MAX: usize = 65;

/// The first byte of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// Forget the keys of one topic.
    RemoveTopic = 0,
    /// Forget the keys of all topics.
    ResetTopics = 1,
    /// Replace the client's own key.
    SetIdKey = 2,
    /// Add or replace the key of a topic.
    SetTopicKey = 3,
    /// Forget the public key of one client.
    RemovePubKey = 4,
    /// Forget all public keys.
    ResetPubKeys = 5,
    /// Add or replace the public key of a client.
    SetPubKey = 6,
    /// Replace C2's public key.
    SetC2Key = 7,
}

impl fmt::Display for Opcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A command. Printing it gives its name alone.
pub enum Command {
    /// Forget the keys of one topic, the replaced one as well. Removing what is not there succeeds.
    RemoveTopic {
        /// The topic.
        topic: TopicHash,
    },
    /// Forget the keys of all topics.
    ResetTopics,
    /// Replace the id key of an SK client.
    SetIdKey {
        /// The new key.
        key: IdKey,
    },
    /// Replace the key pair of a PK client (the same opcode as [`Command::SetIdKey`]).
    #[cfg(feature = "pubkey")]
    SetSigningKey {
        /// The new key pair.
        key: SigningKey,
    },
    /// Add or replace the key of a topic; the replaced one opens messages for another hour.
    SetTopicKey {
        /// The topic.
        topic: TopicHash,
        /// Its key.
        key: TopicKey,
    },
    /// Forget the public key of a client (PK).
    #[cfg(feature = "pubkey")]
    RemovePubKey {
        /// Whose.
        id: ClientId,
    },
    /// Forget all public keys (PK).
    #[cfg(feature = "pubkey")]
    ResetPubKeys,
    /// Add or replace the public key of a client (PK).
    #[cfg(feature = "pubkey")]
    SetPubKey {
        /// Whose.
        id: ClientId,
        /// The key.
        key: PublicKey,
    },
    /// Replace C2's public key (PK).
    #[cfg(feature = "pubkey")]
    SetC2Key {
        /// The key.
        key: C2PublicKey,
    },
}

impl Command {
    /// The first byte.
    pub fn opcode(&self) -> Opcode {
        match self {
            Command::RemoveTopic { .. } => Opcode::RemoveTopic,
            Command::ResetTopics => Opcode::ResetTopics,
            Command::SetIdKey { .. } => Opcode::SetIdKey,
            #[cfg(feature = "pubkey")]
            Command::SetSigningKey { .. } => Opcode::SetIdKey,
            Command::SetTopicKey { .. } => Opcode::SetTopicKey,
            #[cfg(feature = "pubkey")]
            Command::RemovePubKey { .. } => Opcode::RemovePubKey,
            #[cfg(feature = "pubkey")]
            Command::ResetPubKeys => Opcode::ResetPubKeys,
            #[cfg(feature = "pubkey")]
            Command::SetPubKey { .. } => Opcode::SetPubKey,
            #[cfg(feature = "pubkey")]
            Command::SetC2Key { .. } => Opcode::SetC2Key,
        }
    }

    /// Whether a client of this mode takes the command (PROTOCOL section 4, last column).
    pub fn is_for(&self, mode: Mode) -> bool {
        match self {
            Command::RemoveTopic { .. } | Command::ResetTopics | Command::SetTopicKey { .. } => {
                true
            }
            Command::SetIdKey { .. } => mode == Mode::Symmetric,
            #[cfg(feature = "pubkey")]
            _ => mode == Mode::PublicKey,
        }
    }

    /// The plaintext: opcode and fields. The buffer wipes itself.
    pub fn encode(&self) -> CommandBytes {
        let mut bytes = CommandBytes::of(&[&[self.opcode() as u8]]);
        match self {
            Command::RemoveTopic { topic } => bytes.push(topic.as_bytes()),
            Command::ResetTopics => {}
            Command::SetIdKey { key } => bytes.push(key.expose()),
            #[cfg(feature = "pubkey")]
            Command::SetSigningKey { key } => bytes.push(&*key.expose()),
            Command::SetTopicKey { topic, key } => {
                bytes.push(key.expose());
                bytes.push(topic.as_bytes());
            }
            #[cfg(feature = "pubkey")]
            Command::RemovePubKey { id } => bytes.push(id.as_bytes()),
            #[cfg(feature = "pubkey")]
            Command::ResetPubKeys => {}
            #[cfg(feature = "pubkey")]
            Command::SetPubKey { id, key } => {
                bytes.push(key.as_bytes());
                bytes.push(id.as_bytes());
            }
            #[cfg(feature = "pubkey")]
            Command::SetC2Key { key } => bytes.push(key.as_bytes()),
        }
        bytes
    }

    /// Reads a plaintext.
    ///
    /// # Errors
    /// [`Error::InvalidCommand`] for an unknown opcode, another length, or nothing;
    /// [`Error::InvalidKey`] for a key that is refused.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let fields = Fields::parse(bytes, Mode::Symmetric);
        let Fields { opcode, key, name } =
            fields.or_else(|_| Fields::parse(bytes, Mode::PublicKey))?;
        Ok(match opcode {
            Opcode::RemoveTopic => {
                Command::RemoveTopic { topic: TopicHash::from_bytes(*field(name, 0)) }
            }
            Opcode::ResetTopics => Command::ResetTopics,
            #[cfg(feature = "pubkey")]
            Opcode::SetIdKey if key.len() == PRIVATE_KEY_LEN => {
                Command::SetSigningKey { key: SigningKey::from_slice(key)? }
            }
            Opcode::SetIdKey => Command::SetIdKey { key: IdKey::from_slice(key)? },
            Opcode::SetTopicKey => Command::SetTopicKey {
                topic: TopicHash::from_bytes(*field(name, 0)),
                key: TopicKey::from_slice(key)?,
            },
            #[cfg(feature = "pubkey")]
            Opcode::RemovePubKey => {
                Command::RemovePubKey { id: ClientId::from_bytes(*field(name, 0)) }
            }
            #[cfg(feature = "pubkey")]
            Opcode::ResetPubKeys => Command::ResetPubKeys,
            #[cfg(feature = "pubkey")]
            Opcode::SetPubKey => Command::SetPubKey {
                id: ClientId::from_bytes(*field(name, 0)),
                key: PublicKey::from_slice(key)?,
            },
            #[cfg(feature = "pubkey")]
            Opcode::SetC2Key => Command::SetC2Key { key: C2PublicKey::from_slice(key)? },
            #[cfg(not(feature = "pubkey"))]
            _ => return Err(Error::InvalidCommand),
        })
    }
}

/// A plaintext taken apart: its key, which nobody has looked at, and then its name, either of them
/// empty where it has none.
pub(crate) struct Fields<'a> {
    pub opcode: Opcode,
    pub key: &'a [u8],
    pub name: &'a [u8],
}

impl<'a> Fields<'a> {
    /// A command for a client of this mode. It looks at no key, so that a command of the other mode is
    /// [`Error::InvalidCommand`] whatever key it brings.
    ///
    /// # Errors
    /// [`Error::InvalidCommand`] for an unknown opcode, one of the other mode, another length, or nothing.
    pub fn parse(bytes: &'a [u8], mode: Mode) -> Result<Self> {
        let (opcode, fields) = bytes.split_first().ok_or(Error::InvalidCommand)?;
        let (opcode, key, name) = match (reveal(*opcode), mode) {
            (0, _) => (Opcode::RemoveTopic, 0, ID_LEN),
            (1, _) => (Opcode::ResetTopics, 0, 0),
            (2, Mode::Symmetric) => (Opcode::SetIdKey, KEY_LEN, 0),
            (3, _) => (Opcode::SetTopicKey, KEY_LEN, ID_LEN),
            #[cfg(feature = "pubkey")]
            (2, Mode::PublicKey) => (Opcode::SetIdKey, PRIVATE_KEY_LEN, 0),
            #[cfg(feature = "pubkey")]
            (4, Mode::PublicKey) => (Opcode::RemovePubKey, 0, ID_LEN),
            #[cfg(feature = "pubkey")]
            (5, Mode::PublicKey) => (Opcode::ResetPubKeys, 0, 0),
            #[cfg(feature = "pubkey")]
            (6, Mode::PublicKey) => (Opcode::SetPubKey, KEY_LEN, ID_LEN),
            #[cfg(feature = "pubkey")]
            (7, Mode::PublicKey) => (Opcode::SetC2Key, KEY_LEN, 0),
            _ => return Err(Error::InvalidCommand),
        };
        match fields.split_at_checked(key) {
            Some((key, rest)) if rest.len() == name => Ok(Self { opcode, key, name: rest }),
            _ => Err(Error::InvalidCommand),
        }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.opcode(), f)
    }
}

/// The plaintext of a command, 1 to 65 bytes; it may hold a key and wipes itself.
pub type CommandBytes = Bytes<COMMAND_MAX>;
