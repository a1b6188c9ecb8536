// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Commands: opened, checked against the replay mark, stored, then applied in RAM.
//!
//! One write makes a command happen: that of the slot, which says which command wrote it, or that
//! of the head. The head learns of the commands in slots later: before a slot is overwritten in
//! the same second, since that would lose a SIV, and with every write of its own.

use super::Client;
use super::head::{HEAD, HeadRecord};
use super::identity::Keys;
use super::memory::Memory;
use super::record::{CHECK_LEN, Record, add_check};
use super::slot::{Entry, Kind, SLOT_LEN, Slot, Stamp};
use super::storage::Storage;
use crate::command::{Fields, Opcode};
#[cfg(feature = "pubkey")]
use crate::crypto::agree::C2PublicKey;
use crate::crypto::keys::{KEY_LEN, checked, is_same};
#[cfg(feature = "pubkey")]
use crate::crypto::sign::{PublicKey, SigningKey};
use crate::error::{Error, Result};
use crate::id::{Mode, Timestamp};

impl<S: Storage, M: Memory> Client<S, M> {
    /// Applies a command that authenticated, unless it is older than the last one, and remembers what
    /// became of it.
    #[inline(always)]
    pub(super) fn check_and_apply(
        &mut self,
        plaintext: &[u8],
        stamp: &Stamp,
        now: Option<Timestamp>,
    ) -> Result<Opcode> {
        if stamp.time() < self.head.time() {
            return Err(Error::Replayed);
        }
        let mut opcode = Opcode::RemoveTopic;
        let applied = self.apply(plaintext, stamp, now.unwrap_or(stamp.time()), &mut opcode);
        self.last.set(stamp);
        self.last_status = Some(applied);
        applied.map(|()| opcode)
    }

    /// Applies a command, and tells which one it was.
    // A frame of its own on microcontrollers: it is not to lie under what opens a message.
    #[cfg_attr(not(feature = "std"), inline(never))]
    fn apply(
        &mut self,
        plaintext: &[u8],
        stamp: &Stamp,
        now: Timestamp,
        applied: &mut Opcode,
    ) -> Result<()> {
        let Fields { opcode, key, name } = Fields::parse(plaintext, self.mode())?;
        *applied = opcode;
        match opcode {
            Opcode::SetTopicKey => self.set(Kind::Topic, name, Some(checked(key)?), stamp, now),
            Opcode::RemoveTopic => self.set(Kind::Topic, name, None, stamp, now),
            Opcode::ResetTopics => self.reset(Kind::Topic, stamp),
            #[cfg(feature = "pubkey")]
            Opcode::SetPubKey => {
                let key = PublicKey::from_slice(key)?;
                self.set(Kind::Peer, name, Some(key.as_bytes()), stamp, now)
            }
            #[cfg(feature = "pubkey")]
            Opcode::RemovePubKey => self.set(Kind::Peer, name, None, stamp, now),
            #[cfg(feature = "pubkey")]
            Opcode::ResetPubKeys => self.reset(Kind::Peer, stamp),
            _ => self.set_identity(opcode, key, stamp),
        }
    }

    /// Adds, replaces or forgets a key: one slot. Setting the same key again moves nothing. Of a key
    /// that is not there and is to be forgotten, only the replay mark is stored.
    #[cfg_attr(not(feature = "std"), inline(never))]
    fn set(
        &mut self,
        kind: Kind,
        name: &[u8],
        key: Option<&[u8; KEY_LEN]>,
        stamp: &Stamp,
        now: Timestamp,
    ) -> Result<()> {
        let mut entry = Entry::NONE;
        entry.set_label(kind, name);
        let was_there = self.holds(&mut entry)?;
        if let Some(key) = key {
            if !was_there {
                self.free_slot(&mut entry)?;
            } else if kind == Kind::Topic && !is_same(entry.key(), key) {
                entry.retire(now);
            }
            entry.set_key(key);
        } else if was_there {
            entry.clear();
        } else {
            return self.write_head(None, None, Some(stamp));
        }
        self.write_slot(&entry, stamp)?;
        let live = self.live.of_mut(kind);
        if was_there {
            *live -= 1;
            self.memory.remove(kind, name, entry.slot);
        }
        if key.is_some() {
            *live += 1;
            self.memory.put(&entry);
        }
        Ok(())
    }

    /// Forgets all keys of a kind: the head alone decides; the slots are wiped afterwards.
    fn reset(&mut self, kind: Kind, stamp: &Stamp) -> Result<()> {
        self.write_head(None, Some(kind), Some(stamp))?;
        *self.live.of_mut(kind) = 0;
        self.memory.clear(Some(kind));
        let mut slot = Slot::NONE;
        for before in 0..self.slots {
            if self.existing_slot(before + 1, &mut slot).is_ok() && slot.entry.kind() == Some(kind)
            {
                self.wipe(&mut slot);
            }
        }
        Ok(())
    }

    /// Becomes the client that it is with another key of its own or of C2: the head.
    fn set_identity(&mut self, opcode: Opcode, key: &[u8], stamp: &Stamp) -> Result<()> {
        let mut keys = Keys::NONE;
        match (&self.keys, opcode) {
            (Keys::Symmetric(_), Opcode::SetIdKey) => keys.read(Mode::Symmetric as u8, key)?,
            #[cfg(feature = "pubkey")]
            (Keys::KeyPair { c2, .. }, Opcode::SetIdKey) => {
                keys = Keys::pair(SigningKey::from_slice(key)?, *c2)?;
            }
            #[cfg(feature = "pubkey")]
            (Keys::KeyPair { signing, .. }, Opcode::SetC2Key) => {
                keys = Keys::pair(signing.duplicate(), C2PublicKey::from_slice(key)?)?;
            }
            _ => return Err(Error::InvalidCommand),
        }
        self.write_head(Some(&keys), None, Some(stamp))?;
        self.keys.replace(&mut keys);
        Ok(())
    }

    /// Writes a slot, which makes a command happen, and remembers the command.
    #[cfg_attr(not(feature = "std"), inline(never))]
    fn write_slot(&mut self, entry: &Entry, stamp: &Stamp) -> Result<()> {
        let overwrites = entry.slot <= self.slots;
        if overwrites && self.head_behind && stamp.time() == self.head.time() {
            self.write_head(None, None, None)?;
        }
        self.write_record(entry, stamp)?;
        self.slots = self.slots.max(entry.slot);
        self.head.add(stamp);
        self.head_behind = true;
        Ok(())
    }

    /// Writes the record of an entry.
    #[cfg_attr(not(feature = "std"), inline(never))]
    pub(super) fn write_record(&mut self, entry: &Entry, stamp: &Stamp) -> Result<()> {
        let generation = entry.kind().map_or(0, |kind| self.head.generation(kind));
        let mut record = Record::<SLOT_LEN>::EMPTY;
        record.fill(generation, stamp, entry);
        self.write(entry.slot, &mut record.0)
    }

    /// Writes a record, all but its check, which is added.
    #[cfg_attr(not(feature = "std"), inline(never))]
    fn write(&mut self, number: u32, record: &mut [u8]) -> Result<()> {
        add_check(number, record);
        self.storage.write(number, record)
    }

    /// Wipes a slot that a reset has freed. It is free with or without this, so a failure is not
    /// one of the command; the next `open` tries again.
    pub(super) fn wipe(&mut self, slot: &mut Slot) {
        slot.entry.clear();
        let _ = self.write_record(&slot.entry, &slot.stamp);
    }

    /// Writes the head with what is given and what stands, then remembers that: with other keys,
    /// without the keys of a kind, with a command.
    #[cfg_attr(not(feature = "std"), inline(never))]
    pub(super) fn write_head(
        &mut self,
        keys: Option<&Keys>,
        reset: Option<Kind>,
        stamp: Option<&Stamp>,
    ) -> Result<()> {
        let mut record = HeadRecord::EMPTY;
        record.fill(&self.head, reset, stamp)?;
        let len = record.add_keys(keys.unwrap_or(&self.keys)) + CHECK_LEN;
        self.write(HEAD, record.0.get_mut(..len).ok_or(Error::Internal)?)?;
        self.head.take(&record);
        self.head_behind = false;
        Ok(())
    }
}
