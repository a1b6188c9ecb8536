// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One test for each clause of PROTOCOL.md. The name of a test starts with the section.
#![cfg(all(feature = "std", feature = "pubkey", feature = "password"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(missing_docs)]

#[path = "protocol/bad_keys.rs"]
mod bad_keys;
#[path = "protocol/clients.rs"]
mod clients;
#[path = "protocol/commands.rs"]
mod commands;
#[path = "protocol/messages.rs"]
mod messages;
#[path = "protocol/table.rs"]
mod table;

use e4::crypto::siv;
use e4::{
    C2SecretKey, Client, ClientId, Command, IdKey, Identity, MemoryStorage, Opcode, Result,
    SharedKey, SigningKey, Timestamp, TopicHash, TopicKey, Unprotected,
};

pub const NOW: u64 = 1_700_000_000;
pub const TOPIC: &str = "plant/pressure";

pub fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

/// A client with C2's copy of its command key.
pub struct Pair {
    pub client: Client<MemoryStorage>,
    pub key: [u8; 32],
}

pub fn signing(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).unwrap()
}

pub fn c2_secret() -> C2SecretKey {
    C2SecretKey::from_slice(&[0x77; 32]).unwrap()
}

pub fn sk_identity() -> Identity {
    Identity::symmetric(ClientId::from_bytes([1; 16]), IdKey::from_slice(&[9; 32]).unwrap())
}

pub fn pk_identity() -> Identity {
    Identity::public_key(ClientId::from_bytes([2; 16]), signing(8), c2_secret().public()).unwrap()
}

pub fn sk() -> Pair {
    let client = Client::provision(MemoryStorage::new(), sk_identity()).unwrap();
    Pair { client, key: [9; 32] }
}

pub fn pk() -> Pair {
    let client = Client::provision(MemoryStorage::new(), pk_identity()).unwrap();
    let shared = SharedKey::for_c2(&c2_secret(), &signing(8).public()).unwrap();
    Pair { client, key: *shared.expose() }
}

pub fn both() -> [Pair; 2] {
    [sk(), pk()]
}

/// `timestamp | SIV | ciphertext` over any plaintext, as no public function would build it.
pub fn sealed(key: &[u8; 32], time: u64, plain: &[u8]) -> Vec<u8> {
    let time = time.to_le_bytes();
    let (mut tag, mut ct) = ([0; 16], vec![0; plain.len()]);
    siv::seal(key, &[&time], &mut tag, plain, &mut ct).unwrap();
    [&time[..], &tag, &ct].concat()
}

pub fn hash(topic: &str) -> TopicHash {
    TopicHash::from_topic(topic).unwrap()
}

pub fn set_topic(topic: &str, key: u8) -> Vec<u8> {
    let key = TopicKey::from_slice(&[key; 32]).unwrap();
    Command::SetTopicKey { topic: hash(topic), key }.encode().to_vec()
}

pub fn set_peer(id: u8, seed: u8) -> Vec<u8> {
    let id = ClientId::from_bytes([id; 16]);
    Command::SetPubKey { id, key: signing(seed).public() }.encode().to_vec()
}

impl Pair {
    /// Takes a plaintext as a command of the given second.
    pub fn command(&mut self, time: u64, plain: &[u8]) -> Result<Opcode> {
        let protected = sealed(&self.key, time, plain);
        self.deliver(time, &protected)
    }

    pub fn deliver(&mut self, now: u64, protected: &[u8]) -> Result<Opcode> {
        let control = self.client.control_topic();
        match self.client.unprotect_to_vec(at(now), &control, protected)? {
            Unprotected::CommandApplied(opcode) => Ok(opcode),
            Unprotected::Message(_) => panic!("a command came out as a message"),
        }
    }

    pub fn open(&mut self, now: u64, protected: &[u8]) -> Result<Vec<u8>> {
        match self.client.unprotect_to_vec(at(now), TOPIC, protected)? {
            Unprotected::Message(message) => Ok(message.plaintext),
            Unprotected::CommandApplied(_) => panic!("a message came out as a command"),
        }
    }

    /// With a key for [`TOPIC`], and in PK mode with its own public key among those it knows.
    pub fn talking(mut self) -> Self {
        self.command(NOW - 100, &set_topic(TOPIC, 5)).unwrap();
        if self.client.public_key().is_some() {
            self.command(NOW - 100, &set_peer(2, 8)).unwrap();
        }
        self
    }
}
