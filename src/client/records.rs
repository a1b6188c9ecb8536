// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The records of a client, byte for byte. Numbers are little-endian; the last 8 bytes of each
//! record are the start of SHA3-256 over the record number (4 bytes) and everything before them.
//!
//! Head, record 0: `E4C1 | mode (1) | id (16) | generation of topics (4) | generation of peers (4)
//! | replay mark: time (8), count (1), SIVs (16 each) | keys | check (8)`, where the keys are the
//! id key (32) in SK mode, the private key (64) and C2's public key (32) in PK mode.
//!
//! Slot, records from 1: `kind (1) | generation (4) | command: time (8), SIV (16) | name (16) | key
//! (32) | flag (1), previous key (32), time of replacement (8) | check (8)`. The kind is 0 free,
//! 1 topic key, 2 public key. A slot of an earlier generation than the head's is free: that
//! is how ResetTopics forgets everything in one write.

use zeroize::ZeroizeOnDrop;

use super::identity::{Identity, Keys};
use super::mark::{MARK_SIVS, Mark};
use crate::bytes::{Bytes, wipe};
use crate::crypto::hash::short_hash;
use crate::crypto::keys::{IdKey, KEY_LEN};
use crate::crypto::reveal;
use crate::error::{Error, Result};
use crate::id::{ClientId, ID_LEN, Mode, Timestamp};
use crate::wire::message::SIV_LEN;

/// The record number of the head.
pub const HEAD: u32 = 0;
/// Length of the longest head.
pub const HEAD_MAX: usize = 4 + 1 + ID_LEN + 4 + 4 + 8 + 1 + MARK_SIVS * SIV_LEN + 96 + CHECK_LEN;
/// Length of a slot.
pub const SLOT_LEN: usize = 1 + 4 + 8 + SIV_LEN + ID_LEN + KEY_LEN + 1 + KEY_LEN + 8 + CHECK_LEN;

const CHECK_LEN: usize = 8;
const MAGIC: &[u8; 4] = b"E4C1";

/// The two kinds of keys that a client keeps by the dozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// A topic key, named by the topic hash.
    Topic = 1,
    /// The public key of another client, named by its id.
    Peer = 2,
}

/// A value for each [`Kind`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerKind<T> {
    pub topics: T,
    pub peers: T,
}

impl<T> PerKind<T> {
    pub fn of(&self, kind: Kind) -> &T {
        match kind {
            Kind::Topic => &self.topics,
            Kind::Peer => &self.peers,
        }
    }

    pub fn of_mut(&mut self, kind: Kind) -> &mut T {
        match kind {
            Kind::Topic => &mut self.topics,
            Kind::Peer => &mut self.peers,
        }
    }
}

/// Which command wrote a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    pub time: Timestamp,
    pub siv: [u8; SIV_LEN],
}

/// A key, where it is stored, and the one that it replaced.
#[derive(Clone, Default)]
pub struct Entry {
    pub(crate) slot: u32,
    pub(crate) key: [u8; KEY_LEN],
    /// Zero where there is none.
    previous: [u8; KEY_LEN],
    replaced_at: Timestamp,
    has_previous: bool,
}

impl Drop for Entry {
    fn drop(&mut self) {
        wipe(&mut self.key);
        wipe(&mut self.previous);
    }
}

impl ZeroizeOnDrop for Entry {}

impl Entry {
    #[cfg(feature = "std")]
    pub(crate) fn new(key: &[u8; KEY_LEN]) -> Self {
        let (previous, replaced_at) = ([0; KEY_LEN], Timestamp::default());
        Self { slot: 0, key: *key, previous, replaced_at, has_previous: false }
    }

    /// The topic key that was replaced, and when.
    pub(crate) fn previous(&self) -> Option<(&[u8; KEY_LEN], Timestamp)> {
        self.has_previous.then_some((&self.previous, self.replaced_at))
    }

    pub(crate) fn set_previous(&mut self, key: [u8; KEY_LEN], replaced_at: Timestamp) {
        (self.previous, self.replaced_at, self.has_previous) = (key, replaced_at, true);
    }
}

/// A slot as it is read.
#[derive(Default)]
pub struct Slot {
    pub kind: Option<Kind>,
    pub generation: u32,
    pub stamp: Stamp,
    pub name: [u8; ID_LEN],
    pub entry: Entry,
}

/// The start of a hash over the number of a record and what it holds before this.
fn check(record: u32, body: &[u8]) -> [u8; CHECK_LEN] {
    short_hash(&[&record.to_le_bytes(), body])
}

/// The fields of a record, one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn checked(record: u32, bytes: &'a [u8]) -> Result<Self> {
        let (body, check) = bytes.split_last_chunk().ok_or(Error::StateCorrupt)?;
        if reveal(*check) != reveal(self::check(record, body)) {
            return Err(Error::StateCorrupt);
        }
        Ok(Self(body))
    }

    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N]> {
        let (field, rest) = self.0.split_first_chunk().ok_or(Error::StateIncompatible)?;
        self.0 = rest;
        Ok(field)
    }

    fn time(&mut self) -> Result<Timestamp> {
        self.take().map(|bytes| Timestamp::from_bytes(*bytes))
    }

    fn number(&mut self) -> Result<u32> {
        self.take().map(|bytes| u32::from_le_bytes(*bytes))
    }

    fn end(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::StateIncompatible) }
    }
}

/// Writes a head into `head`, which is empty.
pub fn encode_head(
    identity: &Identity,
    generations: &PerKind<u32>,
    mark: &Mark,
    head: &mut Bytes<HEAD_MAX>,
) {
    head.extend(&[
        MAGIC,
        &[identity.mode() as u8],
        identity.id().as_bytes(),
        &generations.topics.to_le_bytes(),
        &generations.peers.to_le_bytes(),
        &mark.time().to_bytes(),
        &[u8::try_from(mark.sivs().len()).unwrap_or(u8::MAX)],
        mark.sivs().as_flattened(),
    ]);
    match identity.keys() {
        Keys::Symmetric(key) => head.push(key.expose()),
        #[cfg(feature = "pubkey")]
        Keys::KeyPair { signing, c2, .. } => {
            head.push(&*signing.expose());
            head.push(c2.as_bytes());
        }
    }
    let check = check(HEAD, head);
    head.push(&check);
}

/// Reads a head: identity and replay mark, which are set, and generations.
///
/// # Errors
/// [`Error::StateCorrupt`], [`Error::StateIncompatible`], [`Error::InvalidKey`].
pub fn decode_head(bytes: &[u8], identity: &mut Identity, mark: &mut Mark) -> Result<PerKind<u32>> {
    if !bytes.starts_with(MAGIC) {
        return Err(Error::StateIncompatible);
    }
    let mut fields = Fields::checked(HEAD, bytes)?;
    fields.take::<4>()?;
    let [mode] = *fields.take()?;
    let id = ClientId::from_bytes(*fields.take()?);
    let generations = PerKind { topics: fields.number()?, peers: fields.number()? };
    let time = fields.time()?;
    let [count] = *fields.take()?;
    mark.start(time);
    for _ in 0..count {
        mark.add(&Stamp { time, siv: *fields.take()? });
    }
    *identity = if mode == Mode::Symmetric as u8 {
        Identity::symmetric(id, IdKey::from_slice(fields.take::<KEY_LEN>()?)?)
    } else {
        decode_key_pair(mode, id, &mut fields)?
    };
    fields.end()?;
    Ok(generations)
}

#[cfg(feature = "pubkey")]
fn decode_key_pair(mode: u8, id: ClientId, fields: &mut Fields<'_>) -> Result<Identity> {
    use crate::crypto::agree::C2PublicKey;
    use crate::crypto::sign::SigningKey;
    if mode != Mode::PublicKey as u8 {
        return Err(Error::StateIncompatible);
    }
    let signing = SigningKey::from_slice(fields.take::<64>()?)?;
    Identity::public_key(id, signing, C2PublicKey::from_slice(fields.take::<KEY_LEN>()?)?)
}

#[cfg(not(feature = "pubkey"))]
fn decode_key_pair(_mode: u8, _id: ClientId, _fields: &mut Fields<'_>) -> Result<Identity> {
    Err(Error::StateIncompatible)
}

/// Writes the slot of a key into `bytes`, which are empty.
pub fn encode_slot(
    kind: Kind,
    generation: u32,
    stamp: &Stamp,
    name: &[u8; ID_LEN],
    slot: u32,
    entry: &Entry,
    bytes: &mut Bytes<SLOT_LEN>,
) {
    encode(kind as u8, generation, stamp, name, slot, entry, bytes);
}

/// Writes a free slot, which still says which command freed it.
pub fn encode_free_slot(slot: u32, stamp: &Stamp, bytes: &mut Bytes<SLOT_LEN>) {
    encode(0, 0, stamp, &[0; ID_LEN], slot, &Entry::default(), bytes);
}

fn encode(
    kind: u8,
    generation: u32,
    stamp: &Stamp,
    name: &[u8; ID_LEN],
    slot: u32,
    entry: &Entry,
    bytes: &mut Bytes<SLOT_LEN>,
) {
    bytes.extend(&[
        &[kind],
        &generation.to_le_bytes(),
        &stamp.time.to_bytes(),
        &stamp.siv,
        name,
        &entry.key,
        &[entry.has_previous.into()],
        &entry.previous,
        &entry.replaced_at.to_bytes(),
    ]);
    let check = check(slot, bytes);
    bytes.push(&check);
}

/// Reads a slot; what `slot` was before does not matter.
///
/// # Errors
/// [`Error::StateCorrupt`], [`Error::StateIncompatible`].
pub fn decode_slot(number: u32, bytes: &[u8], slot: &mut Slot) -> Result<()> {
    let mut fields = Fields::checked(number, bytes)?;
    slot.kind = match fields.take()? {
        [0] => None,
        [1] => Some(Kind::Topic),
        [2] => Some(Kind::Peer),
        _ => return Err(Error::StateIncompatible),
    };
    slot.generation = fields.number()?;
    slot.stamp = Stamp { time: fields.time()?, siv: *fields.take()? };
    slot.name = *fields.take()?;
    slot.entry.slot = number;
    slot.entry.key = *fields.take()?;
    let [flag] = *fields.take()?;
    slot.entry.previous = *fields.take()?;
    slot.entry.replaced_at = fields.time()?;
    slot.entry.has_previous = flag != 0;
    fields.end()
}
