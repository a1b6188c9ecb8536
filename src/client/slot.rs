// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The slots, the records from 1 up: one key each.
//!
//! `kind (1) | generation (4) | command: time (8), SIV (16) | name (16) | key (32) | flag (1), previous
//! key (32), time of replacement (8) | check (8)`. Numbers are little-endian. The kind is 0 free, 1 topic
//! key, 2 public key. A slot of an earlier generation than the head's is free: that is how
//! ResetTopics forgets everything in one write.

use core::fmt;

use zeroize::ZeroizeOnDrop;

use super::record::{CHECK_LEN, Record};
use crate::bytes::{copy, field, put, put_short, wipe};
use crate::crypto::keys::is_zero;
use crate::crypto::reveal;
use crate::error::{Error, Result};
use crate::id::{ID_LEN, Timestamp};
use crate::sizes::{KEY_LEN, SIV_LEN, TIMESTAMP_LEN};
use crate::wire::message::Sealed;

/// Length of a slot.
pub const SLOT_LEN: usize = ENTRY + ENTRY_LEN - 1 + CHECK_LEN;
/// Length of what stands before the check.
pub const SLOT_BODY: usize = SLOT_LEN - CHECK_LEN;

/// Where the fields of a slot stand. An entry has its kind and what stands from the name on.
const GENERATION: usize = 1;
const STAMP: usize = GENERATION + 4;
const ENTRY: usize = STAMP + STAMP_LEN;

/// The two kinds of keys that a client keeps by the dozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A topic key, named by the topic hash.
    Topic = 1,
    /// The public key of another client, named by its id.
    Peer = 2,
}

/// A value for each [`Kind`].
#[derive(Clone, Copy, Debug, Default)]
pub struct PerKind<T> {
    pub topics: T,
    pub peers: T,
}

impl<T> PerKind<T> {
    pub fn of_mut(&mut self, kind: Kind) -> &mut T {
        match kind {
            Kind::Topic => &mut self.topics,
            Kind::Peer => &mut self.peers,
        }
    }
}

/// What a key is found by: its kind and its name. Labels are in the order of the state digest.
pub type Label = [u8; LABEL_LEN];
const LABEL_LEN: usize = 1 + ID_LEN;

/// A command, by its time and SIV, as they stand at its start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(pub [u8; STAMP_LEN]);
pub const STAMP_LEN: usize = TIMESTAMP_LEN + SIV_LEN;

impl Stamp {
    /// No command.
    pub const NONE: Self = Self([0; STAMP_LEN]);

    /// Becomes another one.
    pub fn set(&mut self, other: &Self) {
        copy(&mut self.0, &other.0);
    }

    pub fn of(message: &Sealed<'_>) -> Self {
        let mut stamp = Self::NONE;
        put_short(&mut stamp.0, 0, *message.timestamp);
        put(&mut stamp.0, TIMESTAMP_LEN, message.siv);
        stamp
    }

    /// Whether it is a command.
    pub fn is_some(&self) -> bool {
        !is_zero(&self.0)
    }

    pub fn time(&self) -> Timestamp {
        Timestamp::from_bytes(*field(&self.0, 0))
    }

    pub fn siv(&self) -> &[u8; SIV_LEN] {
        field(&self.0, TIMESTAMP_LEN)
    }
}

/// A key, the one that it replaced, and the number of their slot; 0 where there is none.
///
/// `label (17) | key (32) | flag (1), previous key (32), time of replacement (8)`.
pub struct Entry {
    pub slot: u32,
    bytes: [u8; ENTRY_LEN],
}

const KEY: usize = LABEL_LEN;
const HAS_PREVIOUS: usize = KEY + KEY_LEN;
const PREVIOUS: usize = HAS_PREVIOUS + 1;
const REPLACED_AT: usize = PREVIOUS + KEY_LEN;
const ENTRY_LEN: usize = REPLACED_AT + TIMESTAMP_LEN;

impl Clone for Entry {
    fn clone(&self) -> Self {
        Self { slot: self.slot, bytes: self.bytes }
    }

    fn clone_from(&mut self, source: &Self) {
        self.slot = source.slot;
        copy(&mut self.bytes, &source.bytes);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        wipe(&mut self.bytes);
    }
}

impl ZeroizeOnDrop for Entry {}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entry")
    }
}

impl Entry {
    /// No key.
    pub const NONE: Self = Self { slot: 0, bytes: [0; ENTRY_LEN] };

    /// The kind; none of a slot that is free.
    pub fn kind(&self) -> Option<Kind> {
        match self.bytes {
            [1, ..] => Some(Kind::Topic),
            #[cfg(feature = "pubkey")]
            [2, ..] => Some(Kind::Peer),
            _ => None,
        }
    }

    pub fn label(&self) -> &Label {
        field(&self.bytes, 0)
    }

    pub fn name(&self) -> &[u8; ID_LEN] {
        field(&self.bytes, 1)
    }

    /// The name, to be written.
    pub fn name_mut(&mut self, kind: Kind) -> &mut [u8] {
        put_short(&mut self.bytes, 0, [kind as u8]);
        self.bytes.get_mut(1..KEY).unwrap_or_default()
    }

    pub fn key(&self) -> &[u8; KEY_LEN] {
        field(&self.bytes, KEY)
    }

    /// The topic key that was replaced, and when.
    pub fn previous(&self) -> Option<(&[u8; KEY_LEN], Timestamp)> {
        let [flag] = *field(&self.bytes, HAS_PREVIOUS);
        let replaced_at = Timestamp::from_bytes(*field(&self.bytes, REPLACED_AT));
        (flag != 0).then_some((field(&self.bytes, PREVIOUS), replaced_at))
    }

    /// The label of a name of 16 bytes, which is no secret.
    pub fn set_label(&mut self, kind: Kind, name: &[u8]) {
        let place = self.name_mut(kind);
        copy(place, name);
        place.iter_mut().for_each(|byte| *byte = reveal(*byte));
    }

    pub fn set_key(&mut self, key: &[u8; KEY_LEN]) {
        put(&mut self.bytes, KEY, key);
    }

    /// Makes the key the one that was replaced.
    pub fn retire(&mut self, now: Timestamp) {
        let (before, previous) = self.bytes.split_at_mut(HAS_PREVIOUS);
        put_short(previous, 0, [1]);
        put(previous, PREVIOUS - HAS_PREVIOUS, field::<KEY_LEN>(before, KEY));
        put_short(previous, REPLACED_AT - HAS_PREVIOUS, now.to_bytes());
    }

    /// Copies itself over an entry of the same label.
    #[cfg_attr(not(feature = "std"), inline(never))]
    pub fn copy_if(&self, found: &mut Self) {
        if self.label() == found.label() {
            found.clone_from(self);
        }
    }

    /// Copies itself if its label is above `after` and below that of `next`, if there is one.
    #[cfg_attr(not(feature = "std"), inline(never))]
    pub fn copy_if_next(&self, after: &Label, next: &mut Self) {
        if self.label() > after && (next.slot == 0 || self.label() < next.label()) {
            next.clone_from(self);
        }
    }

    /// Forgets the key, and leaves the place empty.
    pub fn clear(&mut self) {
        wipe(&mut self.bytes);
    }
}

/// A slot as it is read.
pub struct Slot {
    pub generation: u32,
    /// Which command wrote it.
    pub stamp: Stamp,
    pub entry: Entry,
}

impl Slot {
    pub const NONE: Self = Self { generation: 0, stamp: Stamp::NONE, entry: Entry::NONE };

    /// Reads a record, whose body has so many bytes, in the place of another slot.
    ///
    /// # Errors
    /// [`Error::StateIncompatible`].
    pub fn read(&mut self, number: u32, record: &Record<SLOT_LEN>, body: usize) -> Result<()> {
        let record = &record.0;
        let [kind] = *field(record, 0);
        if body != SLOT_BODY || kind > 2 {
            return Err(Error::StateIncompatible);
        }
        self.generation = u32::from_le_bytes(*field(record, GENERATION));
        copy(&mut self.stamp.0, field::<STAMP_LEN>(record, STAMP));
        self.entry.slot = number;
        put_short(&mut self.entry.bytes, 0, [kind]);
        put(&mut self.entry.bytes, 1, field::<{ ENTRY_LEN - 1 }>(record, ENTRY));
        Ok(())
    }
}

impl Record<SLOT_LEN> {
    /// Writes an entry into its record, and which command wrote it.
    pub fn fill(&mut self, generation: u32, stamp: &Stamp, entry: &Entry) {
        let ([kind], rest) = entry.bytes.split_first_chunk().unwrap_or((&[0], &[]));
        put_short(&mut self.0, 0, [*kind]);
        put_short(&mut self.0, GENERATION, generation.to_le_bytes());
        put(&mut self.0, STAMP, &stamp.0);
        put(&mut self.0, ENTRY, rest);
    }
}
