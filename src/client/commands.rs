// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Commands: opened, checked against the replay mark, stored, then applied in RAM.
//!
//! One write makes a command happen: that of the slot, which says which command wrote it, or that
//! of the head. The head learns of the commands in slots later: before a slot is overwritten in
//! the same second, since that would lose a SIV, and with every write of its own.

use super::Client;
use super::identity::Identity;
#[cfg(feature = "pubkey")]
use super::identity::Keys;
use super::memory::Memory;
use super::records::{self, Entry, HEAD, Kind, PerKind, Slot, Stamp};
use super::storage::Storage;
use crate::bytes::wipe;
use crate::command::{Command, Opcode, is_for_mode};
use crate::crypto::keys::{KEY_LEN, is_same};
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
        let mode = self.mode();
        let command = self.mark.check(&stamp).map(|()| {
            if !is_for_mode(plaintext, mode) {
                return Err(Error::InvalidCommand);
            }
            Command::decode(plaintext)
        });
        wipe(plaintext);
        let applied = command?.and_then(|command| {
            let opcode = command.opcode();
            self.apply(command, &stamp, now.unwrap_or(stamp.time)).map(|()| opcode)
        });
        self.last = Some((stamp, applied.map(|_| ())));
        applied
    }

    /// Applies a command that is for the client's mode.
    fn apply(&mut self, command: Command, stamp: &Stamp, now: Timestamp) -> Result<()> {
        match command {
            Command::SetTopicKey { topic, key } => {
                self.set(Kind::Topic, topic.as_bytes(), key.expose(), stamp, now)
            }
            Command::RemoveTopic { topic } => self.remove(Kind::Topic, topic.as_bytes(), stamp),
            Command::ResetTopics => self.reset(Kind::Topic, stamp),
            Command::SetIdKey { key } => {
                self.set_identity(Identity::symmetric(self.id(), key), stamp)
            }
            #[cfg(feature = "pubkey")]
            Command::SetPubKey { id, key } => {
                self.set(Kind::Peer, id.as_bytes(), key.as_bytes(), stamp, now)
            }
            #[cfg(feature = "pubkey")]
            Command::RemovePubKey { id } => self.remove(Kind::Peer, id.as_bytes(), stamp),
            #[cfg(feature = "pubkey")]
            Command::ResetPubKeys => self.reset(Kind::Peer, stamp),
            #[cfg(feature = "pubkey")]
            Command::SetSigningKey { key } => match self.identity.keys() {
                Keys::Symmetric(_) => Err(Error::InvalidCommand),
                Keys::KeyPair { c2, .. } => {
                    self.set_identity(Identity::public_key(self.id(), key, *c2)?, stamp)
                }
            },
            #[cfg(feature = "pubkey")]
            Command::SetC2Key { key } => match self.identity.keys() {
                Keys::Symmetric(_) => Err(Error::InvalidCommand),
                Keys::KeyPair { signing, .. } => self.set_identity(
                    Identity::public_key(self.id(), signing.duplicate(), key)?,
                    stamp,
                ),
            },
        }
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
        let slot = records::encode_slot(kind, generation, stamp, name, entry.slot, &entry);
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
        self.write_slot(slot, &records::encode_free_slot(slot, stamp), stamp)?;
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

    fn set_identity(&mut self, identity: Identity, stamp: &Stamp) -> Result<()> {
        self.write_head(Some(&identity), self.generations, Some(stamp))?;
        self.identity = identity;
        Ok(())
    }

    /// Wipes a slot that a reset has freed. It is free with or without this, so a failure is not
    /// one of the command; the next `open` tries again.
    pub(super) fn wipe_slot(&mut self, slot: u32, stamp: &Stamp) {
        let _ = self.storage.write(slot, &records::encode_free_slot(slot, stamp));
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
        let head = records::encode_head(identity, &generations, &self.mark);
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
