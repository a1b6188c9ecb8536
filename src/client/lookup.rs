// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Keys found: in the table, and where that does not hold all, in the storage.

use super::Client;
use super::memory::Memory;
use super::records::{self, Entry, Kind, SLOT_LEN, Slot};
use super::storage::Storage;
use crate::bytes::{Bytes, wipe};
use crate::error::{Error, Result};
use crate::id::ID_LEN;
use crate::sizes::KEY_LEN;

impl<S: Storage, M: Memory> Client<S, M> {
    /// Looks a key up: in the table, and if that does not hold all, in the storage; what is found
    /// there is put into `stored`.
    pub(super) fn entry<'a>(
        &'a self,
        kind: Kind,
        name: &[u8; ID_LEN],
        stored: &'a mut Entry,
    ) -> Result<Option<&'a Entry>> {
        if let Some(entry) = self.memory.get(kind, name) {
            return Ok(Some(entry));
        }
        let mut found = false;
        if self.overflows(kind) {
            self.each_stored(kind, &mut |slot| {
                if slot.name == *name {
                    stored.clone_from(&slot.entry);
                    found = true;
                }
            })?;
        }
        Ok(found.then_some(stored))
    }

    /// The key with the lowest name above that in `next`, and its name, in place of what is there;
    /// with `first`, the lowest of all. False if there is none.
    pub(super) fn next_entry(&self, kind: Kind, first: bool, next: &mut NamedKey) -> Result<bool> {
        let after = next.name;
        let after = (!first).then_some(&after);
        if !self.overflows(kind) {
            let found = self.memory.next(kind, after);
            return Ok(found.map(|(name, entry)| next.set(name, &entry.key)).is_some());
        }
        let mut found = false;
        self.each_stored(kind, &mut |slot| {
            let above = after.is_none_or(|after| slot.name > *after);
            if above && (!found || slot.name < next.name) {
                next.set(&slot.name, &slot.entry.key);
                found = true;
            }
        })?;
        Ok(found)
    }

    /// Whether keys of a kind stand in the storage alone.
    pub(super) fn overflows(&self, kind: Kind) -> bool {
        self.memory.count(kind) < *self.live.of(kind)
    }

    fn each_stored(&self, kind: Kind, each: &mut dyn FnMut(&Slot)) -> Result<()> {
        let mut slot = Slot::default();
        for number in 1..=self.slots {
            self.existing_slot(number, &mut slot)?;
            if self.is_live(&slot, kind) {
                each(&slot);
            }
        }
        Ok(())
    }

    /// Whether a slot holds a key of a kind, which no reset has forgotten.
    pub(super) fn is_live(&self, slot: &Slot, kind: Kind) -> bool {
        slot.kind == Some(kind) && slot.generation == *self.generations.of(kind)
    }

    /// Reads a slot; false if there is none.
    pub(super) fn read_slot(&self, number: u32, slot: &mut Slot) -> Result<bool> {
        let mut buffer = Bytes::<SLOT_LEN>::new();
        let Some(bytes) = read_record(&self.storage, number, buffer.room(SLOT_LEN))? else {
            return Ok(false);
        };
        records::decode_slot(number, bytes, slot).map(|()| true)
    }

    /// Reads a slot that was there.
    pub(super) fn existing_slot(&self, number: u32, slot: &mut Slot) -> Result<()> {
        if self.read_slot(number, slot)? { Ok(()) } else { Err(Error::StateCorrupt) }
    }
}

/// A name and the key of that name.
#[derive(Default)]
pub(super) struct NamedKey {
    pub name: [u8; ID_LEN],
    pub key: [u8; KEY_LEN],
}

impl Drop for NamedKey {
    fn drop(&mut self) {
        wipe(&mut self.key);
    }
}

impl NamedKey {
    fn set(&mut self, name: &[u8; ID_LEN], key: &[u8; KEY_LEN]) {
        (self.name, self.key) = (*name, *key);
    }
}

pub(super) fn read_record<'b>(
    storage: &impl Storage,
    record: u32,
    buffer: &'b mut [u8],
) -> Result<Option<&'b [u8]>> {
    let Some(length) = storage.read(record, buffer)? else { return Ok(None) };
    buffer.get(..length).ok_or(Error::Storage).map(Some)
}

/// Whether there is a record, of whatever length.
pub(super) fn exists(storage: &impl Storage, record: u32) -> Result<bool> {
    match storage.read(record, Bytes::<SLOT_LEN>::new().room(SLOT_LEN)) {
        // The head is longer than this buffer.
        Err(Error::StateIncompatible) => Ok(true),
        read => Ok(read?.is_some()),
    }
}

/// Erases the slots from the last to the first, so that an interruption leaves no gap.
pub(super) fn erase_slots(storage: &mut impl Storage) -> Result<()> {
    let mut slots = 0;
    while exists(storage, slots + 1)? {
        slots += 1;
    }
    (1..=slots).rev().try_for_each(|slot| storage.erase(slot))
}
