// SPDX-License-Identifier: Apache-2.0 OR MIT
//! State files of the clients in the field (PROTOCOL section 10).

use base64ct::{Base64, Encoding};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::slot::{Entry, Kind};
use super::storage::Storage;
use super::{Client, DefaultMemory, Identity, Settings};
use crate::crypto::hash::short_hash;
use crate::crypto::keys::{IdKey, KEY_LEN, is_zero};
use crate::error::{Error, Result};
use crate::id::{ClientId, ID_LEN, Timestamp};

/// The state of an e4go or libe4 client, read and checked.
#[derive(Debug)]
pub struct Imported {
    identity: Identity,
    keys: Vec<Entry>,
}

impl Imported {
    /// Reads the JSON file of an e4go client, symmetric or public-key, with the keys that it
    /// keeps for a transition.
    ///
    /// All-zero keys, and replaced keys of a wrong length, are left out: e4go itself fails on them.
    ///
    /// # Errors
    /// [`Error::StateIncompatible`] if it is not such a file; [`Error::InvalidKey`].
    pub fn from_e4go(json: &[u8]) -> Result<Self> {
        let value: Value = serde_json::from_slice(json).map_err(|_| Error::StateIncompatible)?;
        let id = ClientId::from_bytes(array(&base64(field(&value, "ID")?)?)?);
        let key = field(&value, "Key")?;
        let data = field(key, "keyData")?;
        let (identity, peers) = match field(key, "keyType")?.as_u64() {
            Some(0) => {
                let key = IdKey::from_slice(&base64(field(data, "Key")?)?)?;
                (Identity::symmetric(id, key), Vec::new())
            }
            Some(1) => e4go_key_pair(id, data)?,
            _ => return Err(Error::StateIncompatible),
        };
        let mut keys = e4go_topics(object(field(&value, "TopicKeys")?)?)?;
        keys.extend(peers);
        Ok(Self { identity, keys })
    }

    /// Reads the state file of a libe4 client: `E41P` (symmetric) or `E42P` (public key).
    ///
    /// # Errors
    /// [`Error::StateIncompatible`] if it is not such a file, or is cut short;
    /// [`Error::InvalidKey`], among others for a private key in libe4's expanded form, from which
    /// the seed cannot be had.
    pub fn from_libe4(file: &[u8]) -> Result<Self> {
        let mut rest = file;
        let magic = take::<4>(&mut rest)?;
        let id = ClientId::from_bytes(*take(&mut rest)?);
        let mut keys = Vec::new();
        let identity = match magic {
            b"E41P" => {
                let identity =
                    Identity::symmetric(id, IdKey::from_slice(take::<KEY_LEN>(&mut rest)?)?);
                libe4_keys(Kind::Topic, &mut rest, &mut keys)?;
                identity
            }
            b"E42P" => {
                let identity = libe4_key_pair(id, &mut rest)?;
                libe4_keys(Kind::Topic, &mut rest, &mut keys)?;
                libe4_keys(Kind::Peer, &mut rest, &mut keys)?;
                identity
            }
            _ => return Err(Error::StateIncompatible),
        };
        Ok(Self { identity, keys })
    }

    /// The id of the client.
    pub fn id(&self) -> ClientId {
        self.identity.id()
    }
}

impl<S: Storage> Client<S> {
    /// Stores a client that another implementation kept until now. Stop that one: two holders of
    /// one identity confuse C2.
    ///
    /// # Errors
    /// [`Error::AlreadyProvisioned`], errors of the storage.
    pub fn import(storage: S, mut state: Imported) -> Result<Self> {
        let mut client = Self::closed(storage, DefaultMemory::default(), Settings::default());
        client.create(state.identity, &mut state.keys)?;
        Ok(client)
    }
}

fn entry(kind: Kind, name: &[u8; ID_LEN], key: &[u8; KEY_LEN]) -> Entry {
    let mut entry = Entry::NONE;
    entry.set_label(kind, name);
    entry.set_key(key);
    entry
}

/// e4go keeps a replaced key as `key (32) | time (8)` under the hash of the topic hash.
fn e4go_topics(entries: &Map<String, Value>) -> Result<Vec<Entry>> {
    let mut current = Vec::new();
    let mut replaced = Vec::new();
    for (name, value) in entries {
        let name = *ClientId::from_hex(name).ok_or(Error::StateIncompatible)?.as_bytes();
        let value = base64(value)?;
        match (<[u8; KEY_LEN]>::try_from(value.as_slice()), value.split_last_chunk()) {
            (Ok(key), _) if !is_zero(&key) => current.push(entry(Kind::Topic, &name, &key)),
            (Err(_), Some((key, time))) if key.len() == KEY_LEN => {
                replaced.push((name, array(key)?, Timestamp::from_bytes(*time)));
            }
            _ => {}
        }
    }
    for topic in &mut current {
        let at: [u8; ID_LEN] = short_hash(&[topic.name()]);
        if let Some((_, previous, replaced_at)) = replaced.iter().find(|(name, ..)| *name == at) {
            let key = Zeroizing::new(*topic.key());
            topic.set_key(previous);
            topic.retire(*replaced_at);
            topic.set_key(&key);
        }
    }
    Ok(current)
}

#[cfg(feature = "pubkey")]
fn e4go_key_pair(id: ClientId, data: &Value) -> Result<(Identity, Vec<Entry>)> {
    use crate::crypto::agree::C2PublicKey;
    use crate::crypto::sign::{PublicKey, SigningKey};
    let signing = SigningKey::from_slice(&base64(field(data, "PrivateKey")?)?)?;
    let c2 = C2PublicKey::from_slice(&base64(field(data, "C2PubKey")?)?)?;
    let mut peers = Vec::new();
    for (name, value) in object(field(data, "PubKeys")?)? {
        let name = *ClientId::from_hex(name).ok_or(Error::StateIncompatible)?.as_bytes();
        if let Ok(key) = PublicKey::from_slice(&base64(value)?) {
            peers.push(entry(Kind::Peer, &name, key.as_bytes()));
        }
    }
    Ok((Identity::public_key(id, signing, c2)?, peers))
}

#[cfg(not(feature = "pubkey"))]
fn e4go_key_pair(_id: ClientId, _data: &Value) -> Result<(Identity, Vec<Entry>)> {
    Err(Error::StateIncompatible)
}

#[cfg(feature = "pubkey")]
fn libe4_key_pair(id: ClientId, rest: &mut &[u8]) -> Result<Identity> {
    use crate::crypto::agree::C2PublicKey;
    use crate::crypto::sign::SigningKey;
    let signing = SigningKey::from_slice(take::<64>(rest)?)?;
    take::<KEY_LEN>(rest)?;
    Identity::public_key(id, signing, C2PublicKey::from_slice(take::<KEY_LEN>(rest)?)?)
}

#[cfg(not(feature = "pubkey"))]
fn libe4_key_pair(_id: ClientId, _rest: &mut &[u8]) -> Result<Identity> {
    Err(Error::StateIncompatible)
}

/// A count (2 bytes), then so many times name (16) and key (32). What libe4 leaves behind the last
/// list after a removal is not part of the state.
fn libe4_keys(kind: Kind, rest: &mut &[u8], keys: &mut Vec<Entry>) -> Result<()> {
    let count = u16::from_le_bytes(*take(rest)?);
    for _ in 0..count {
        let name = *take(rest)?;
        let key = *take::<KEY_LEN>(rest)?;
        let entry = entry(kind, &name, &key);
        let known = keys.iter().any(|known| known.label() == entry.label());
        if !known && !is_zero(&key) && is_usable(kind, &key) {
            keys.push(entry);
        }
    }
    Ok(())
}

#[cfg(feature = "pubkey")]
fn is_usable(kind: Kind, key: &[u8; KEY_LEN]) -> bool {
    kind == Kind::Topic || crate::crypto::sign::PublicKey::from_slice(key).is_ok()
}

#[cfg(not(feature = "pubkey"))]
fn is_usable(kind: Kind, _key: &[u8; KEY_LEN]) -> bool {
    kind == Kind::Topic
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Result<&'a [u8; N]> {
    let (field, after) = rest.split_first_chunk().ok_or(Error::StateIncompatible)?;
    *rest = after;
    Ok(field)
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes.try_into().map_err(|_| Error::StateIncompatible)
}

fn field<'v>(value: &'v Value, name: &str) -> Result<&'v Value> {
    value.get(name).ok_or(Error::StateIncompatible)
}

fn object(value: &Value) -> Result<&Map<String, Value>> {
    value.as_object().ok_or(Error::StateIncompatible)
}

fn base64(value: &Value) -> Result<Zeroizing<Vec<u8>>> {
    let text = value.as_str().ok_or(Error::StateIncompatible)?;
    Base64::decode_vec(text).map(Zeroizing::new).map_err(|_| Error::StateIncompatible)
}
