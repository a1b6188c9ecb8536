// SPDX-License-Identifier: Apache-2.0 OR MIT
//! SHA3-256 (FIPS 202), and the ids made with it (PROTOCOL sections 1 and 5).

#[cfg(not(feature = "std"))]
pub(crate) use super::sponge::Sha3;
#[cfg(feature = "std")]
use crate::bytes::copy;
use crate::error::Result;
use crate::id::{ClientId, ID_LEN, TopicHash, check_name, check_topic};

/// SHA3-256 of the parts, one after the other.
pub fn sha3_256(parts: &[&[u8]]) -> [u8; 32] {
    short_hash(parts)
}

/// The first `N` bytes of SHA3-256 of the parts; `N` is at most 32.
pub(crate) fn short_hash<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut hash = [0; N];
    hash_into(parts, &mut hash);
    hash
}

/// [`short_hash`], in its place, as many bytes as there is room for.
#[cfg_attr(not(feature = "std"), inline(never))]
pub(crate) fn hash_into(parts: &[&[u8]], hash: &mut [u8]) {
    let mut hasher = Sha3::default();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.end(hash);
}

impl ClientId {
    /// The id of a client that has a name: the first 16 bytes of SHA3-256 of the name.
    ///
    /// # Errors
    /// [`InvalidName`](crate::Error::InvalidName) unless the name has 1 to 255 bytes.
    pub fn from_name(name: &str) -> Result<Self> {
        check_name(name)?;
        Ok(Self::from_bytes(short_hash::<ID_LEN>(&[name.as_bytes()])))
    }

    /// A random id from the operating system.
    ///
    /// # Errors
    /// [`Randomness`](crate::Error::Randomness).
    #[cfg(feature = "std")]
    pub fn random() -> Result<Self> {
        let mut bytes = [0u8; ID_LEN];
        crate::crypto::keys::fill_random(&mut bytes)?;
        Ok(Self::from_bytes(bytes))
    }
}

impl TopicHash {
    /// The hash of a topic: the first 16 bytes of its SHA3-256.
    ///
    /// # Errors
    /// [`InvalidTopic`](crate::Error::InvalidTopic) unless the topic has 1 to 65,535 bytes.
    pub fn from_topic(topic: &str) -> Result<Self> {
        check_topic(topic)?;
        Ok(Self::of(topic))
    }

    /// [`TopicHash::from_topic`] of a topic that was checked.
    pub(crate) fn of(topic: &str) -> Self {
        Self::from_bytes(short_hash(&[topic.as_bytes()]))
    }
}

/// SHA3-256 in steps.
#[cfg(feature = "std")]
#[derive(Default)]
pub(crate) struct Sha3(sha3::Sha3_256);

#[cfg(feature = "std")]
impl Sha3 {
    pub fn update(&mut self, part: &[u8]) {
        sha3::Digest::update(&mut self.0, part);
    }

    /// The start of the hash, up to 32 bytes; it may be taken once.
    // By reference, since a move would be a copy of the state on the stack.
    pub fn end(&mut self, hash: &mut [u8]) {
        copy(hash, &sha3::digest::FixedOutputReset::finalize_fixed_reset(&mut self.0));
    }
}
