// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Commands, their protection, and the answers to them.

use std::sync::Arc;

use e4::wire::message::Sealed;
use e4::{C2PublicKey, PublicKey};
use zeroize::Zeroizing;

use crate::failure::Result;
use crate::keys::{CommandKey, IdKey, SigningKey, TopicKey, copy_of, copy_of_pair};
use crate::names::{hash, id};
use crate::slot::Slot;

/// A command of C2.
#[derive(uniffi::Object)]
pub struct Command(Slot<e4::Command>);

impl Command {
    fn new(command: e4::Command) -> Arc<Self> {
        Arc::new(Self(Slot::new(command)))
    }

    fn protected(&self, now: u64, key: &CommandKey) -> Result<Vec<u8>> {
        let protected = self.0.with(|command| Ok(key.protect(now, command)))?;
        Ok(protected?.to_vec())
    }
}

#[uniffi::export]
impl Command {
    /// Forget the keys of one topic.
    #[uniffi::constructor]
    pub fn remove_topic(topic: Vec<u8>) -> Result<Arc<Self>> {
        Ok(Self::new(e4::Command::RemoveTopic { topic: hash(&topic)? }))
    }

    /// Forget the keys of all topics.
    #[uniffi::constructor]
    pub fn reset_topics() -> Arc<Self> {
        Self::new(e4::Command::ResetTopics)
    }

    /// Replace the id key of an SK client.
    #[uniffi::constructor]
    pub fn set_id_key(key: &IdKey) -> Result<Arc<Self>> {
        Ok(Self::new(e4::Command::SetIdKey { key: key.0.with(copy_of)? }))
    }

    /// Replace the key pair of a PK client.
    #[uniffi::constructor]
    pub fn set_signing_key(key: &SigningKey) -> Result<Arc<Self>> {
        Ok(Self::new(e4::Command::SetSigningKey { key: key.0.with(copy_of_pair)? }))
    }

    /// Add or replace the key of a topic.
    #[uniffi::constructor]
    pub fn set_topic_key(topic: Vec<u8>, key: &TopicKey) -> Result<Arc<Self>> {
        let topic = hash(&topic)?;
        let key = key.0.with(|key| e4::TopicKey::from_slice(key.expose()))?;
        Ok(Self::new(e4::Command::SetTopicKey { topic, key }))
    }

    /// Forget the public key of a client (PK).
    #[uniffi::constructor]
    pub fn remove_pub_key(client: Vec<u8>) -> Result<Arc<Self>> {
        Ok(Self::new(e4::Command::RemovePubKey { id: id(&client)? }))
    }

    /// Forget all public keys (PK).
    #[uniffi::constructor]
    pub fn reset_pub_keys() -> Arc<Self> {
        Self::new(e4::Command::ResetPubKeys)
    }

    /// Add or replace the public key of a client (PK).
    #[uniffi::constructor]
    pub fn set_pub_key(client: Vec<u8>, key: Vec<u8>) -> Result<Arc<Self>> {
        let key = PublicKey::from_slice(&key)?;
        Ok(Self::new(e4::Command::SetPubKey { id: id(&client)?, key }))
    }

    /// Replace C2's public key (PK).
    #[uniffi::constructor]
    pub fn set_c2_key(key: Vec<u8>) -> Result<Arc<Self>> {
        Ok(Self::new(e4::Command::SetC2Key { key: C2PublicKey::from_slice(&key)? }))
    }

    /// Reads a plaintext.
    #[uniffi::constructor]
    pub fn decode(plaintext: Vec<u8>) -> Result<Arc<Self>> {
        Ok(Self::new(e4::Command::decode(&Zeroizing::new(plaintext))?))
    }

    /// The plaintext.
    pub fn encode(&self) -> Result<Vec<u8>> {
        self.0.with(|command| Ok(command.encode().to_vec()))
    }

    /// The first byte.
    pub fn opcode(&self) -> Result<u8> {
        self.0.with(|command| Ok(command.opcode() as u8))
    }

    /// Protects the command for the client that holds the key.
    pub fn protect_for(&self, now: u64, key: CommandKey) -> Result<Vec<u8>> {
        self.protected(now, &key)
    }

    /// Wipes the command.
    pub fn wipe(&self) {
        self.0.close();
    }
}

/// A command and the key of the client that it is for.
#[derive(uniffi::Record)]
pub struct CommandFor {
    command: Arc<Command>,
    key: CommandKey,
}

/// Protects many commands.
#[uniffi::export]
pub fn protect_for_many(now: u64, pairs: Vec<CommandFor>) -> Result<Vec<Vec<u8>>> {
    pairs.iter().map(|pair| pair.command.protected(now, &pair.key)).collect()
}

/// What a client says about a command, or a hello.
#[derive(uniffi::Record)]
pub struct Answer {
    timestamp: u64,
    command: Option<Vec<u8>>,
    status: i32,
    digest: Vec<u8>,
}

/// Opens an answer.
#[uniffi::export]
pub fn open_answer(key: CommandKey, protected: Vec<u8>) -> Result<Answer> {
    let (time, answer) = key.open_answer(&protected)?;
    Ok(Answer {
        timestamp: time.as_secs(),
        command: answer.command.map(|siv| siv.to_vec()),
        status: answer.status.err().map_or(0, e4::Error::number),
        digest: answer.digest.0.to_vec(),
    })
}

/// The SIV of a protected command.
#[uniffi::export]
pub fn siv_of(protected: Vec<u8>) -> Result<Vec<u8>> {
    Ok(Sealed::parse(&protected)?.siv.to_vec())
}
