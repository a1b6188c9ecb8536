// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Commands: opened, checked against the replay mark, stored, then applied in RAM.
//!
//! One write makes a command happen: that of the slot, which says which command wrote it, or that
//! of the head. The head learns of the commands in slots later: before a slot is overwritten in
//! the same second, since that would lose a SIV, and with every write of its own.

use zeroize::Zeroize;

use super::identity::Identity;
#[cfg(feature = "pubkey")]
use super::identity::Keys;
use super::memory::Memory;
use super::records::{self, Entry, HEAD, Kind, PerKind, Previous, Stamp};
use super::storage::Storage;
use super::{Client, Mark};
use crate::command::{Command, Opcode, is_for_mode};
use crate::crypto::keys::KEY_LEN;
use crate::crypto::siv::Siv;
use crate::error::{Error, Result};
use crate::id::{ID_LEN, Timestamp};
use crate::protect;
use crate::wire::message::Sealed;

impl<S: Storage, M: Memory> Client<S, M> {
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
        let plaintext = protect::open(&Siv::new(self.identity.command_key()), &sealed, out)?;
        let mode = self.mode();
        let command = self.mark.check(&stamp).map(|()| {
            if !is_for_mode(plaintext, mode) {
                return Err(Error::InvalidCommand);
            }
            Command::decode(plaintext)
        });
        plaintext.zeroize();
        let applied = command?.and_then(|command| {
            let opcode = command.opcode();
            self.apply(command, stamp, now.unwrap_or(stamp.time)).map(|()| opcode)
        });
        self.last = Some((stamp, applied.map(|_| ())));
        applied
    }

    fn apply(&mut self, command: Command, stamp: Stamp, now: Timestamp) -> Result<()> {
        if !command.is_for(self.mode()) {
            return Err(Error::InvalidCommand);
        }
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
        stamp: Stamp,
        now: Timestamp,
    ) -> Result<()> {
        let old = self.with_entry(kind, name, |entry| entry.cloned())?;
        let known = old.is_some();
        let entry = match old {
            Some(old)
                if subtle::ConstantTimeEq::ct_eq(old.key.as_slice(), key.as_slice()).into() =>
            {
                old
            }
            Some(old) => {
                let previous = Previous { key: old.key, replaced_at: now };
                let previous = (kind == Kind::Topic).then_some(previous);
                Entry { slot: old.slot, key: *key, previous }
            }
            None => {
                let slot = self.free_slot()?;
                Entry { slot, key: *key, previous: None }
            }
        };
        let slot = records::encode_slot(kind, *self.generations.of(kind), &stamp, name, &entry);
        self.write_slot(entry.slot, &slot, stamp)?;
        if !known {
            *self.live.of_mut(kind) += 1;
        }
        self.memory.put(kind, *name, entry);
        Ok(())
    }

    /// Forgets a key: one slot. Of a key that is not there, only the replay mark is stored.
    fn remove(&mut self, kind: Kind, name: &[u8; ID_LEN], stamp: Stamp) -> Result<()> {
        let Some(slot) = self.with_entry(kind, name, |entry| entry.map(|entry| entry.slot))? else {
            return self.write_head(None, self.generations, Some(stamp));
        };
        self.write_slot(slot, &records::encode_free_slot(slot, &stamp), stamp)?;
        *self.live.of_mut(kind) -= 1;
        self.memory.remove(kind, name);
        Ok(())
    }

    /// Forgets all keys of a kind: the head alone decides; the slots are wiped afterwards.
    fn reset(&mut self, kind: Kind, stamp: Stamp) -> Result<()> {
        let mut generations = self.generations;
        let generation = generations.of_mut(kind);
        *generation = generation.checked_add(1).ok_or(Error::Internal)?;
        self.write_head(None, generations, Some(stamp))?;
        *self.live.of_mut(kind) = 0;
        self.memory.clear(kind);
        for number in 1..=self.slots {
            if let Ok(Some(slot)) = self.read_slot(number)
                && slot.kind == Some(kind)
            {
                self.wipe_slot(number, &slot.stamp);
            }
        }
        Ok(())
    }

    fn set_identity(&mut self, identity: Identity, stamp: Stamp) -> Result<()> {
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
            for number in 1..=self.slots {
                let slot = self.read_slot(number)?.ok_or(Error::StateCorrupt)?;
                let live =
                    slot.kind.is_some_and(|kind| slot.generation == *self.generations.of(kind));
                if !live {
                    return Ok(number);
                }
            }
        }
        self.slots.checked_add(1).ok_or(Error::StorageFull)
    }

    /// Writes a slot, which makes a command happen, and remembers the command.
    fn write_slot(&mut self, slot: u32, bytes: &[u8], stamp: Stamp) -> Result<()> {
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
    fn write_head(
        &mut self,
        identity: Option<&Identity>,
        generations: PerKind<u32>,
        stamp: Option<Stamp>,
    ) -> Result<()> {
        let mut mark: Mark = self.mark.clone();
        if let Some(stamp) = stamp {
            mark.add(stamp);
        }
        let head = records::encode_head(identity.unwrap_or(&self.identity), &generations, &mark);
        self.storage.write(HEAD, &head)?;
        self.mark = mark;
        self.generations = generations;
        self.head_behind = false;
        Ok(())
    }
}
