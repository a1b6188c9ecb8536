// SPDX-License-Identifier: Apache-2.0 OR MIT
//! PROTOCOL.md written a second time, as short as it goes and straight over the crates of the
//! standards. Nothing of e4 is used here but the names of its errors.

use std::collections::BTreeMap;

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use curve25519_dalek::edwards::CompressedEdwardsY;
use e4::Error;
use ed25519_dalek::{Signature, VerifyingKey};
use sha3::{Digest, Sha3_256};

/// 16 bytes: a client id, a topic hash, a SIV.
pub type Id = [u8; 16];
/// 32 bytes of key.
pub type Key = [u8; 32];

/// What a client is asked to tolerate.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// Validity into the past, in seconds.
    pub past: u64,
    /// Validity into the future, in seconds.
    pub future: u64,
    /// How long a replaced key lives, in seconds.
    pub transition: u64,
    /// Whether unknown signers are taken.
    pub unknown_signers: bool,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { past: 600, future: 600, transition: 3600, unknown_signers: false }
    }
}

/// The client's own keys.
#[derive(Clone, PartialEq)]
pub enum Own {
    /// SK: the id key.
    Symmetric(Key),
    /// PK: seed and public key, and C2's X25519 public key.
    Pair([u8; 64], Key),
}

/// A topic key and the one that it replaced, with the time of replacement.
#[derive(Clone, PartialEq)]
pub struct Topic {
    /// The key.
    pub key: Key,
    /// The one before it.
    pub previous: Option<(Key, u64)>,
}

/// The state of a client.
#[derive(Clone)]
pub struct State {
    /// Its id.
    pub id: Id,
    /// Its own keys.
    pub own: Own,
    /// Topic keys.
    pub topics: BTreeMap<Id, Topic>,
    /// Public keys of others.
    pub peers: BTreeMap<Id, Key>,
    /// The time of the newest command and the SIVs of that second.
    pub mark: (u64, Vec<Id>),
    /// Public keys that a RemovePubKey took away; libe4 keeps them (section 10).
    pub removed: BTreeMap<Id, Key>,
    /// A C2 key that was refused; e4go keeps it in its state all the same (section 4).
    pub refused_c2: Option<Key>,
}

/// What becomes of a received message.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A message; opened under the replaced key or not.
    Message {
        /// Its plaintext.
        payload: Vec<u8>,
        /// Whether only the replaced key opened it.
        previous: bool,
    },
    /// A command that was applied: its plaintext.
    Command(Vec<u8>),
    /// Refused.
    Refused(Error),
}

/// A command, decoded and checked (section 4).
enum Change {
    RemoveTopic(Id),
    ResetTopics,
    SetOwn(Vec<u8>),
    SetTopic(Id, Key),
    RemovePeer(Id),
    ResetPeers,
    SetPeer(Id, Key),
    SetC2(Key),
}

/// SHA3-256 of the parts.
pub fn sha3(parts: &[&[u8]]) -> Key {
    let mut hasher = Sha3_256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().into()
}

/// The first 16 bytes of SHA3-256.
pub fn short(text: &[u8]) -> Id {
    let mut id = [0; 16];
    id.iter_mut().zip(sha3(&[text])).for_each(|(to, from)| *to = from);
    id
}

/// The control topic of a client.
pub fn control_topic(id: &Id) -> String {
    format!("e4/{}", hex::encode(id))
}

/// Opens `ts | SIV | ciphertext` under K||K with the timestamp as associated data (section 2).
pub fn open_sealed(key: &Key, time: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let both: [u8; 64] = std::array::from_fn(|at| key.get(at % 32).copied().unwrap_or(0));
    Aes256Siv::new(&both.into()).decrypt([time], sealed).ok()
}

/// Opens an answer (section 8): two associated strings.
pub fn open_answer(key: &Key, time: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let both: [u8; 64] = std::array::from_fn(|at| key.get(at % 32).copied().unwrap_or(0));
    Aes256Siv::new(&both.into()).decrypt([b"e4-ack-v1", time], sealed).ok()
}

/// A public key that section 4 takes: canonical, on the curve, not of small order.
pub fn usable_peer(key: &Key) -> bool {
    CompressedEdwardsY(*key)
        .decompress()
        .is_some_and(|point| !point.is_small_order() && point.compress().0 == *key)
}

/// A C2 key that does not agree on zero with whomever (section 6).
pub fn usable_c2(key: &Key) -> bool {
    x25519_dalek::x25519([0x40; 32], *key) != [0; 32]
}

/// A private key whose halves match and are not zero (section 4).
pub fn usable_pair(pair: &[u8]) -> bool {
    let Some((seed, public)) = pair.split_first_chunk::<32>() else { return false };
    ed25519_dalek::SigningKey::from_bytes(seed).verifying_key().as_bytes() == public
        && *seed != [0; 32]
}

/// The key of section 6, from the client's side.
pub fn shared_key(pair: &[u8; 64], c2: &Key) -> Key {
    let seed = pair.first_chunk().copied().unwrap_or_default();
    let scalar = ed25519_dalek::SigningKey::from_bytes(&seed).to_scalar_bytes();
    sha3(&[&x25519_dalek::x25519(scalar, *c2)])
}

impl State {
    /// A client without topics.
    pub fn new(id: Id, own: Own) -> Self {
        let (topics, peers, removed) = Default::default();
        Self { id, own, topics, peers, mark: (0, Vec::new()), removed, refused_c2: None }
    }

    /// The key of commands.
    pub fn command_key(&self) -> Key {
        match &self.own {
            Own::Symmetric(key) => *key,
            Own::Pair(pair, c2) => shared_key(pair, c2),
        }
    }

    fn is_pk(&self) -> bool {
        matches!(self.own, Own::Pair(..))
    }

    /// Sections 2, 3 and 7: what becomes of bytes that arrive on a topic.
    pub fn receive(
        &mut self,
        now: Option<u64>,
        tolerance: &Tolerance,
        topic: &str,
        bytes: &[u8],
    ) -> Outcome {
        let result = if topic == control_topic(&self.id) {
            self.command(now, tolerance, bytes).map(Outcome::Command)
        } else {
            self.message(now, tolerance, topic, bytes)
        };
        result.unwrap_or_else(Outcome::Refused)
    }

    fn message(
        &self,
        now: Option<u64>,
        tolerance: &Tolerance,
        topic: &str,
        bytes: &[u8],
    ) -> Result<Outcome, Error> {
        let entry = self.topics.get(&short(topic.as_bytes())).ok_or(Error::TopicKeyMissing)?;
        let least = if self.is_pk() { 104 } else { 24 };
        let (time, rest) = bytes.split_first_chunk::<8>().ok_or(Error::MessageTooShort)?;
        if bytes.len() < least {
            return Err(Error::MessageTooShort);
        }
        let sent = u64::from_le_bytes(*time);
        match now {
            Some(now) => check_window(sent, now, tolerance)?,
            None if self.mark.0.saturating_sub(sent) > tolerance.past => {
                return Err(Error::TimestampTooOld);
            }
            None => {}
        }
        let sealed = if self.is_pk() { self.signed(bytes, rest, tolerance)? } else { rest };
        if let Some(payload) = open_sealed(&entry.key, time, sealed) {
            return Ok(Outcome::Message { payload, previous: false });
        }
        let alive = |at: u64| {
            now.is_none_or(|now| {
                now.saturating_sub(at) <= tolerance.transition
                    && at.saturating_sub(now) <= tolerance.future
            })
        };
        let (key, _) = entry.previous.filter(|(_, at)| alive(*at)).ok_or(Error::InvalidTag)?;
        let payload = open_sealed(&key, time, sealed).ok_or(Error::InvalidTag)?;
        Ok(Outcome::Message { payload, previous: true })
    }

    /// Signer and signature (section 3); what remains is SIV and ciphertext.
    fn signed<'b>(
        &self,
        bytes: &[u8],
        rest: &'b [u8],
        tolerance: &Tolerance,
    ) -> Result<&'b [u8], Error> {
        let (signer, rest) = rest.split_first_chunk::<16>().ok_or(Error::MessageTooShort)?;
        let (sealed, signature) = rest.split_last_chunk::<64>().ok_or(Error::MessageTooShort)?;
        let (signed, _) = bytes.split_last_chunk::<64>().ok_or(Error::MessageTooShort)?;
        match self.peers.get(signer) {
            Some(key) => VerifyingKey::from_bytes(key)
                .and_then(|key| key.verify_strict(signed, &Signature::from_bytes(signature)))
                .map_err(|_| Error::SignatureInvalid)?,
            None if tolerance.unknown_signers => {}
            None => return Err(Error::SignerUnknown),
        }
        Ok(sealed)
    }

    fn command(
        &mut self,
        now: Option<u64>,
        tolerance: &Tolerance,
        bytes: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let (time, sealed) = bytes.split_first_chunk::<8>().ok_or(Error::MessageTooShort)?;
        let siv = *sealed.first_chunk::<16>().ok_or(Error::MessageTooShort)?;
        let sent = u64::from_le_bytes(*time);
        if let Some(now) = now {
            check_window(sent, now, tolerance)?;
        }
        if sent == self.mark.0 && self.mark.1.contains(&siv) {
            return Err(Error::Replayed);
        }
        let plain = open_sealed(&self.command_key(), time, sealed).ok_or(Error::InvalidTag)?;
        if sent < self.mark.0 {
            return Err(Error::Replayed);
        }
        let change = decode(self.is_pk(), &plain);
        if let (Err(Error::InvalidKey), [7, key @ ..]) = (&change, plain.as_slice()) {
            self.refused_c2 = key.try_into().ok();
        }
        let change = change?;
        self.apply(change, now.unwrap_or(sent));
        if sent > self.mark.0 {
            self.mark = (sent, Vec::new());
        }
        self.mark.1.push(siv);
        Ok(plain)
    }

    fn apply(&mut self, change: Change, now: u64) {
        match change {
            Change::RemoveTopic(topic) => drop(self.topics.remove(&topic)),
            Change::ResetTopics => self.topics.clear(),
            Change::SetTopic(topic, key) => {
                let old = self.topics.remove(&topic);
                let previous = match old {
                    Some(old) if old.key == key => old.previous,
                    Some(old) => Some((old.key, now)),
                    None => None,
                };
                self.topics.insert(topic, Topic { key, previous });
            }
            Change::RemovePeer(id) => {
                self.removed.extend(self.peers.remove(&id).map(|key| (id, key)));
            }
            Change::ResetPeers => {
                self.peers.clear();
                self.removed.clear();
            }
            Change::SetPeer(id, key) => {
                self.removed.remove(&id);
                self.peers.insert(id, key);
            }
            Change::SetOwn(key) => match &mut self.own {
                Own::Symmetric(own) => own.copy_from_slice(&key),
                Own::Pair(own, _) => own.copy_from_slice(&key),
            },
            Change::SetC2(key) => {
                if let Own::Pair(_, c2) = &mut self.own {
                    *c2 = key;
                }
            }
        }
    }

    /// Section 11.
    pub fn digest(&self) -> Id {
        let mut all = Vec::new();
        for (hash, topic) in &self.topics {
            all.extend([&[1][..], hash, &sha3(&[&topic.key])].concat());
        }
        for (id, key) in &self.peers {
            all.extend([&[2][..], id, key].concat());
        }
        short(&all)
    }
}

/// Section 1.
fn check_window(sent: u64, now: u64, tolerance: &Tolerance) -> Result<(), Error> {
    if sent.saturating_sub(now) > tolerance.future {
        Err(Error::TimestampInFuture)
    } else if now.saturating_sub(sent) > tolerance.past {
        Err(Error::TimestampTooOld)
    } else {
        Ok(())
    }
}

/// The fields after the opcode, `$key` bytes of key and then 16 of name.
fn key_and_id<const N: usize>(fields: &[u8]) -> Result<([u8; N], Id), Error> {
    let (key, id) = fields.split_first_chunk().ok_or(Error::InvalidCommand)?;
    Ok((*key, id.try_into().map_err(|_| Error::InvalidCommand)?))
}

/// Section 4.
fn decode(pk: bool, plain: &[u8]) -> Result<Change, Error> {
    let (opcode, fields) = plain.split_first().ok_or(Error::InvalidCommand)?;
    let id = || fields.try_into().map_err(|_| Error::InvalidCommand);
    let usable = |yes: bool| if yes { Ok(()) } else { Err(Error::InvalidKey) };
    Ok(match (*opcode, fields.len(), pk) {
        (0, 16, _) => Change::RemoveTopic(id()?),
        (1, 0, _) => Change::ResetTopics,
        (2, 32, false) => {
            usable(fields.iter().any(|byte| *byte != 0))?;
            Change::SetOwn(fields.to_vec())
        }
        (2, 64, true) => {
            usable(usable_pair(fields))?;
            Change::SetOwn(fields.to_vec())
        }
        (3, 48, _) => {
            let (key, topic) = key_and_id(fields)?;
            usable(key != [0; 32])?;
            Change::SetTopic(topic, key)
        }
        (4, 16, true) => Change::RemovePeer(id()?),
        (5, 0, true) => Change::ResetPeers,
        (6, 48, true) => {
            let (key, id) = key_and_id(fields)?;
            usable(usable_peer(&key))?;
            Change::SetPeer(id, key)
        }
        (7, 32, true) => {
            let key = fields.try_into().map_err(|_| Error::InvalidCommand)?;
            usable(usable_c2(&key))?;
            Change::SetC2(key)
        }
        _ => return Err(Error::InvalidCommand),
    })
}
