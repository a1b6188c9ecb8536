// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Ids, topic hashes and public keys as bytes that were checked.

use e4::{C2PublicKey, ClientId, ClientTopic, PublicKey, TopicHash};

use crate::failure::{Failure, Result};

/// Exactly `N` bytes.
pub fn exactly<const N: usize>(what: &str, bytes: &[u8]) -> Result<[u8; N]> {
    let wrong = || Failure::parameter(&format!("{what} takes {N} bytes, not {}", bytes.len()));
    bytes.try_into().map_err(|_| wrong())
}

/// A client id.
pub fn id(bytes: &[u8]) -> Result<ClientId> {
    Ok(ClientId::from_bytes(exactly("a client id", bytes)?))
}

/// A topic hash.
pub fn hash(bytes: &[u8]) -> Result<TopicHash> {
    Ok(TopicHash::from_bytes(exactly("a topic hash", bytes)?))
}

/// Checks the length of a client id or topic hash.
#[uniffi::export]
pub fn check_sixteen(bytes: Vec<u8>) -> Result<()> {
    exactly::<16>("an id or a hash", &bytes).map(drop)
}

/// The 16 bytes that 32 hexadecimal digits stand for.
#[uniffi::export]
pub fn sixteen_from_hex(digits: String) -> Result<Vec<u8>> {
    let id = ClientId::from_hex(&digits);
    let id = id.ok_or_else(|| Failure::parameter("32 hexadecimal digits are required"))?;
    Ok(id.as_bytes().to_vec())
}

/// The id of a name.
#[uniffi::export]
pub fn client_id_from_name(name: String) -> Result<Vec<u8>> {
    Ok(ClientId::from_name(&name)?.as_bytes().to_vec())
}

/// A random id.
#[uniffi::export]
pub fn client_id_random() -> Result<Vec<u8>> {
    Ok(ClientId::random()?.as_bytes().to_vec())
}

/// The control topic of a client.
#[uniffi::export]
pub fn control_topic(id: Vec<u8>) -> Result<String> {
    Ok(ClientTopic::control(self::id(&id)?).to_string())
}

/// The answer topic of a client.
#[uniffi::export]
pub fn answer_topic(id: Vec<u8>) -> Result<String> {
    Ok(ClientTopic::answer(self::id(&id)?).to_string())
}

/// The hash of a topic.
#[uniffi::export]
pub fn topic_hash(topic: String) -> Result<Vec<u8>> {
    Ok(TopicHash::from_topic(&topic)?.as_bytes().to_vec())
}

/// Checks a topic before a key is made for it.
#[uniffi::export]
pub fn check_topic_for_key(topic: String) -> Result<()> {
    Ok(e4::check_topic_for_key(&topic)?)
}

/// Checks the public key of a client.
#[uniffi::export]
pub fn check_public_key(bytes: Vec<u8>) -> Result<()> {
    PublicKey::from_slice(&bytes)?;
    Ok(())
}

/// Checks C2's public key.
#[uniffi::export]
pub fn check_c2_public_key(bytes: Vec<u8>) -> Result<()> {
    C2PublicKey::from_slice(&bytes)?;
    Ok(())
}

/// The X25519 form of a client's public key.
#[uniffi::export]
pub fn public_key_to_x25519(bytes: Vec<u8>) -> Result<Vec<u8>> {
    Ok(e4::crypto::agree::to_x25519(&PublicKey::from_slice(&bytes)?).to_vec())
}
