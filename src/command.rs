// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The commands of C2 (PROTOCOL section 4), with their keys checked.

use core::fmt;

use crate::bytes::Bytes;
#[cfg(feature = "pubkey")]
use crate::crypto::agree::C2PublicKey;
use crate::crypto::keys::{IdKey, TopicKey};
use crate::crypto::reveal;
#[cfg(feature = "pubkey")]
use crate::crypto::sign::{PublicKey, SigningKey};
use crate::error::{Error, Result};
#[cfg(feature = "pubkey")]
use crate::id::ClientId;
use crate::id::{Mode, TopicHash};

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
        let (opcode, fields) = bytes.split_first().ok_or(Error::InvalidCommand)?;
        match (reveal(*opcode), fields.len()) {
            (0, 16) => Ok(Command::RemoveTopic { topic: TopicHash::from_bytes(sixteen(fields)?) }),
            (1, 0) => Ok(Command::ResetTopics),
            (2, 32) => Ok(Command::SetIdKey { key: IdKey::from_slice(fields)? }),
            #[cfg(feature = "pubkey")]
            (2, 64) => Ok(Command::SetSigningKey { key: SigningKey::from_slice(fields)? }),
            (3, 48) => {
                let (key, topic) = fields.split_at_checked(32).ok_or(Error::InvalidCommand)?;
                let topic = TopicHash::from_bytes(sixteen(topic)?);
                Ok(Command::SetTopicKey { topic, key: TopicKey::from_slice(key)? })
            }
            #[cfg(feature = "pubkey")]
            (4, 16) => Ok(Command::RemovePubKey { id: ClientId::from_bytes(sixteen(fields)?) }),
            #[cfg(feature = "pubkey")]
            (5, 0) => Ok(Command::ResetPubKeys),
            #[cfg(feature = "pubkey")]
            (6, 48) => {
                let (key, id) = fields.split_at_checked(32).ok_or(Error::InvalidCommand)?;
                let id = ClientId::from_bytes(sixteen(id)?);
                Ok(Command::SetPubKey { id, key: PublicKey::from_slice(key)? })
            }
            #[cfg(feature = "pubkey")]
            (7, 32) => Ok(Command::SetC2Key { key: C2PublicKey::from_slice(fields)? }),
            _ => Err(Error::InvalidCommand),
        }
    }
}

/// Whether a client of this mode takes a plaintext of this opcode and length. It is asked before
/// the keys are looked at, so that a command of the other mode is [`Error::InvalidCommand`]
/// whatever key it brings.
pub(crate) fn is_for_mode(bytes: &[u8], mode: Mode) -> bool {
    match (bytes.first().copied().map(reveal), bytes.len()) {
        (Some(2), 33) => mode == Mode::Symmetric,
        (Some(2 | 4..=7), _) => mode == Mode::PublicKey,
        _ => true,
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.opcode(), f)
    }
}

/// A topic hash or an id, which are no secrets.
fn sixteen(bytes: &[u8]) -> Result<[u8; 16]> {
    bytes.try_into().map(reveal).map_err(|_| Error::InvalidCommand)
}

/// The plaintext of a command, 1 to 65 bytes; it may hold a key and wipes itself.
pub type CommandBytes = Bytes<COMMAND_MAX>;
