// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Commands: opened, checked against the replay mark, stored, then applied in RAM.
//!
//! One write makes a command happen: that of the slot, which says which command wrote it, or that
//! of the head. The head learns of the commands in slots later: before a slot is overwritten in
//! the same second, since that would lose a SIV, and with every write of its own.

use super::Client;
use super::identity::{Identity, Keys};
use super::memory::Memory;
use super::records::{self, Entry, HEAD, Kind, PerKind, Slot, Stamp};
use super::storage::Storage;
use crate::bytes::{Bytes, wipe};
use crate::command::{Fields, Opcode, is_for_mode};
#[cfg(feature = "pubkey")]
use crate::crypto::agree::C2PublicKey;
use crate::crypto::keys::{IdKey, KEY_LEN, is_same, is_zero};
#[cfg(feature = "pubkey")]
use crate::crypto::sign::{PublicKey, SigningKey};
use crate::error::{Error, Result};
use crate::id::{ID_LEN, Timestamp};
use crate::protect;
use crate::wire::message::Sealed;

impl<S: Storage, M: Memory> Client<S, M> {
    // A frame of its own on microcontrollers: it is not to lie under the check of a signature.
    #[cfg_attr(all(feature = "pubkey", not(feature = "std")), inline(never))]
    pub(super) fn unprotect_command(
        &mut self,
        now: Option<Timestamp>,
        protected: &[u8],
        out: &mut [u8],
    ) -> Result<Opcode> {
        self.last = None;
        let sealed = Sealed::parse(protected)?;
        let stamp = Stamp { time: sealed.time(), siv: *sealed.siv };
        if let Some(now) = now {
            self.settings.window.check(stamp.time, now)?;
        }
        // Before authentication: the key may have been replaced by the very command that is
        // repeated here.
        if self.mark.contains(&stamp) {
            return Err(Error::Replayed);
        }
        let plaintext = protect::open_once(self.identity.command_key(), &sealed, out)?;
        let checked = self.mark.check(&stamp);
        let applied = checked.map(|()| self.apply(plaintext, &stamp, now.unwrap_or(stamp.time)));
        wipe(plaintext);
        let applied = applied?;
        self.last = Some((stamp, applied.map(drop)));
        applied
    }

    /// Applies a command.
    fn apply(&mut self, plaintext: &[u8], stamp: &Stamp, now: Timestamp) -> Result<Opcode> {
        if !is_for_mode(plaintext, self.mode()) {
            return Err(Error::InvalidCommand);
        }
        let Fields { opcode, key, name } = Fields::parse(plaintext)?;
        match opcode {
            Opcode::SetTopicKey => {
                let key = key.first_chunk().filter(|key| !is_zero(*key));
                self.set(Kind::Topic, &name, key.ok_or(Error::InvalidKey)?, stamp, now)
            }
            Opcode::RemoveTopic => self.remove(Kind::Topic, &name, stamp),
            Opcode::ResetTopics => self.reset(Kind::Topic, stamp),
            #[cfg(feature = "pubkey")]
            Opcode::SetPubKey => {
                let key = PublicKey::from_slice(key)?;
                self.set(Kind::Peer, &name, key.as_bytes(), stamp, now)
            }
            #[cfg(feature = "pubkey")]
            Opcode::RemovePubKey => self.remove(Kind::Peer, &name, stamp),
            #[cfg(feature = "pubkey")]
            Opcode::ResetPubKeys => self.reset(Kind::Peer, stamp),
            _ => self.set_identity(opcode, key, stamp),
        }?;
        Ok(opcode)
    }

    /// Adds or replaces a key: one slot. Setting the same key again moves nothing.
    fn set(
        &mut self,
        kind: Kind,
        name: &[u8; ID_LEN],
        key: &[u8; KEY_LEN],
        stamp: &Stamp,
        now: Timestamp,
    ) -> Result<()> {
        let mut entry = Entry::default();
        let known = match self.entry(kind, name, &mut Entry::default())? {
            Some(old) => {
                entry.clone_from(old);
                true
            }
            None => {
                entry.slot = self.free_slot()?;
                false
            }
        };
        if !is_same(&entry.key, key) {
            if known && kind == Kind::Topic {
                entry.set_previous(entry.key, now);
            }
            entry.key = *key;
        }
        let generation = *self.generations.of(kind);
        let mut slot = Bytes::new();
        records::encode_slot(kind, generation, stamp, name, entry.slot, &entry, &mut slot);
        self.write_slot(entry.slot, &slot, stamp)?;
        if !known {
            *self.live.of_mut(kind) += 1;
        }
        self.memory.put(kind, *name, entry);
        Ok(())
    }

    /// Forgets a key: one slot. Of a key that is not there, only the replay mark is stored.
    fn remove(&mut self, kind: Kind, name: &[u8; ID_LEN], stamp: &Stamp) -> Result<()> {
        let found = self.entry(kind, name, &mut Entry::default())?.map(|entry| entry.slot);
        let Some(slot) = found else {
            return self.write_head(None, self.generations, Some(stamp));
        };
        let mut bytes = Bytes::new();
        records::encode_free_slot(slot, stamp, &mut bytes);
        self.write_slot(slot, &bytes, stamp)?;
        *self.live.of_mut(kind) -= 1;
        self.memory.remove(kind, name);
        Ok(())
    }

    /// Forgets all keys of a kind: the head alone decides; the slots are wiped afterwards.
    fn reset(&mut self, kind: Kind, stamp: &Stamp) -> Result<()> {
        let mut generations = self.generations;
        let generation = generations.of_mut(kind);
        *generation = generation.checked_add(1).ok_or(Error::Internal)?;
        self.write_head(None, generations, Some(stamp))?;
        *self.live.of_mut(kind) = 0;
        self.memory.clear(kind);
        let mut slot = Slot::default();
        for number in 1..=self.slots {
            if self.existing_slot(number, &mut slot).is_ok() && slot.kind == Some(kind) {
                self.wipe_slot(number, &slot.stamp);
            }
        }
        Ok(())
    }

    /// Becomes the identity that it is with another key of its own or of C2: the head.
    fn set_identity(&mut self, opcode: Opcode, key: &[u8], stamp: &Stamp) -> Result<()> {
        let identity = match (self.identity.keys(), opcode) {
            (Keys::Symmetric(_), Opcode::SetIdKey) => {
                Identity::symmetric(self.id(), IdKey::from_slice(key)?)
            }
            #[cfg(feature = "pubkey")]
            (Keys::KeyPair { c2, .. }, Opcode::SetIdKey) => {
                Identity::public_key(self.id(), SigningKey::from_slice(key)?, *c2)?
            }
            #[cfg(feature = "pubkey")]
            (Keys::KeyPair { signing, .. }, Opcode::SetC2Key) => {
                let c2 = C2PublicKey::from_slice(key)?;
                Identity::public_key(self.id(), signing.duplicate(), c2)?
            }
            _ => return Err(Error::InvalidCommand),
        };
        self.write_head(Some(&identity), self.generations, Some(stamp))?;
        self.identity = identity;
        Ok(())
    }

    /// Wipes a slot that a reset has freed. It is free with or without this, so a failure is not
    /// one of the command; the next `open` tries again.
    pub(super) fn wipe_slot(&mut self, slot: u32, stamp: &Stamp) {
        let mut bytes = Bytes::new();
        records::encode_free_slot(slot, stamp, &mut bytes);
        let _ = self.storage.write(slot, &bytes);
    }

    /// The first free slot, or a new one.
    fn free_slot(&self) -> Result<u32> {
        if self.live.topics + self.live.peers < self.slots {
            let mut slot = Slot::default();
            for number in 1..=self.slots {
                self.existing_slot(number, &mut slot)?;
                if !slot.kind.is_some_and(|kind| self.is_live(&slot, kind)) {
                    return Ok(number);
                }
            }
        }
        self.slots.checked_add(1).ok_or(Error::StorageFull)
    }

    /// Writes a slot, which makes a command happen, and remembers the command.
    fn write_slot(&mut self, slot: u32, bytes: &[u8], stamp: &Stamp) -> Result<()> {
        let overwrites = slot <= self.slots;
        if overwrites && self.head_behind && stamp.time == self.mark.time() {
            self.write_head(None, self.generations, None)?;
        }
        self.storage.write(slot, bytes)?;
        self.slots = self.slots.max(slot);
        self.mark.add(stamp);
        self.head_behind = true;
        Ok(())
    }

    /// Writes the head with what is given and what stands, then remembers that and the command.
    pub(super) fn write_head(
        &mut self,
        identity: Option<&Identity>,
        generations: PerKind<u32>,
        stamp: Option<&Stamp>,
    ) -> Result<()> {
        let before = stamp.map(|stamp| self.mark.add(stamp));
        let identity = identity.unwrap_or(&self.identity);
        let mut head = Bytes::new();
        records::encode_head(identity, &generations, &self.mark, &mut head);
        if let Err(error) = self.storage.write(HEAD, &head) {
            if let Some(before) = before {
                self.mark.restore(&before);
            }
            return Err(error);
        }
        self.generations = generations;
        self.head_behind = false;
        Ok(())
    }
}
