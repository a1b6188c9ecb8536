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
        let Fields { opcode, key, name } = Fields::parse(bytes)?;
        Ok(match opcode {
            Opcode::RemoveTopic => Command::RemoveTopic { topic: TopicHash::from_bytes(name) },
            Opcode::ResetTopics => Command::ResetTopics,
            #[cfg(feature = "pubkey")]
            Opcode::SetIdKey if key.len() == PRIVATE_KEY_LEN => {
                Command::SetSigningKey { key: SigningKey::from_slice(key)? }
            }
            Opcode::SetIdKey => Command::SetIdKey { key: IdKey::from_slice(key)? },
            Opcode::SetTopicKey => Command::SetTopicKey {
                topic: TopicHash::from_bytes(name),
                key: TopicKey::from_slice(key)?,
            },
            #[cfg(feature = "pubkey")]
            Opcode::RemovePubKey => Command::RemovePubKey { id: ClientId::from_bytes(name) },
            #[cfg(feature = "pubkey")]
            Opcode::ResetPubKeys => Command::ResetPubKeys,
            #[cfg(feature = "pubkey")]
            Opcode::SetPubKey => Command::SetPubKey {
                id: ClientId::from_bytes(name),
                key: PublicKey::from_slice(key)?,
            },
            #[cfg(feature = "pubkey")]
            Opcode::SetC2Key => Command::SetC2Key { key: C2PublicKey::from_slice(key)? },
            #[cfg(not(feature = "pubkey"))]
            _ => return Err(Error::InvalidCommand),
        })
    }
}

/// A plaintext taken apart: its key, which nobody has looked at, and then its name, zeros where it
/// has none.
pub(crate) struct Fields<'a> {
    pub opcode: Opcode,
    pub key: &'a [u8],
    pub name: [u8; ID_LEN],
}

impl<'a> Fields<'a> {
    /// # Errors
    /// [`Error::InvalidCommand`] for an unknown opcode, another length, or nothing.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let (opcode, fields) = bytes.split_first().ok_or(Error::InvalidCommand)?;
        let opcode = match (reveal(*opcode), fields.len()) {
            (0, ID_LEN) => Opcode::RemoveTopic,
            (1, 0) => Opcode::ResetTopics,
            (2, KEY_LEN) => Opcode::SetIdKey,
            #[cfg(feature = "pubkey")]
            (2, PRIVATE_KEY_LEN) => Opcode::SetIdKey,
            (3, KEY_AND_NAME) => Opcode::SetTopicKey,
            #[cfg(feature = "pubkey")]
            (4, ID_LEN) => Opcode::RemovePubKey,
            #[cfg(feature = "pubkey")]
            (5, 0) => Opcode::ResetPubKeys,
            #[cfg(feature = "pubkey")]
            (6, KEY_AND_NAME) => Opcode::SetPubKey,
            #[cfg(feature = "pubkey")]
            (7, KEY_LEN) => Opcode::SetC2Key,
            _ => return Err(Error::InvalidCommand),
        };
        // Only a name ends in less than a key.
        let (key, name) =
            fields.split_at_checked(fields.len() / KEY_LEN * KEY_LEN).unwrap_or_default();
        // A topic hash or an id, which are no secrets.
        let name = name.first_chunk().copied().map_or([0; ID_LEN], reveal);
        Ok(Self { opcode, key, name })
    }
}

/// Length of a key and a name.
const KEY_AND_NAME: usize = KEY_LEN + ID_LEN;

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

/// The plaintext of a command, 1 to 65 bytes; it may hold a key and wipes itself.
pub type CommandBytes = Bytes<COMMAND_MAX>;
