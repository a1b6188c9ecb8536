// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Keys found: in the table, and where that does not hold all, in the storage.

use super::Client;
use super::memory::Memory;
use super::record::{Record, body_of};
use super::slot::{Entry, Label, SLOT_LEN, Slot};
use super::storage::Storage;
use crate::error::{Error, Result};

impl<S: Storage, M: Memory> Client<S, M> {
    /// Looks up the key of a label, that of an entry without a slot: in the table, and if that does not
    /// hold all, in the storage.
    ///
    /// # Errors
    /// [`Error::TopicKeyMissing`] if there is none, of whatever kind it is; errors of the storage.
    #[cfg_attr(not(feature = "std"), inline(never))]
    pub(super) fn find(&self, found: &mut Entry) -> Result<()> {
        self.memory.find(found);
        if found.slot == 0 && self.overflows() {
            self.search(Search::Key, found)?;
        }
        if found.slot == 0 { Err(Error::TopicKeyMissing) } else { Ok(()) }
    }

    /// [`Client::find`] of a key that need not be there: whether it is.
    pub(super) fn holds(&self, found: &mut Entry) -> Result<bool> {
        match self.find(found) {
            Ok(()) => Ok(true),
            Err(Error::TopicKeyMissing) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Puts the key with the lowest label above that of `at` in its place; its slot is 0 if there is
    /// none.
    pub(super) fn next(&self, at: &mut Entry) -> Result<()> {
        let after = *at.label();
        at.slot = 0;
        if self.overflows() {
            return self.search(Search::NextKey(&after), at);
        }
        self.memory.next(&after, at);
        Ok(())
    }

    /// The first free slot, or a new one.
    pub(super) fn free_slot(&self, found: &mut Entry) -> Result<()> {
        if self.live() < self.slots {
            self.search(Search::Free, found)?;
        }
        if found.slot == 0 {
            found.slot = self.slots.checked_add(1).ok_or(Error::StorageFull)?;
        }
        Ok(())
    }

    /// Whether keys stand in the storage alone.
    #[cfg_attr(not(feature = "std"), inline(never))]
    fn overflows(&self) -> bool {
        self.memory.count() < self.live()
    }

    /// Looks through the slots for an entry; without one, `found` is as before.
    #[cfg_attr(not(feature = "std"), inline(never))]
    fn search(&self, what: Search<'_>, found: &mut Entry) -> Result<()> {
        let mut slot = Slot::NONE;
        for before in 0..self.slots {
            self.existing_slot(before + 1, &mut slot)?;
            match (self.is_live(&slot), &what) {
                (true, Search::Key) => slot.entry.copy_if(found),
                (true, Search::NextKey(after)) => slot.entry.copy_if_next(after, found),
                (false, Search::Free) if found.slot == 0 => found.slot = before + 1,
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether a slot holds a key, which no reset has forgotten.
    pub(super) fn is_live(&self, slot: &Slot) -> bool {
        slot.entry.kind().is_some_and(|kind| slot.generation == self.head.generation(kind))
    }

    /// Reads a slot; its number is 0 if there is none.
    #[cfg_attr(not(feature = "std"), inline(never))]
    pub(super) fn read_slot(&self, number: u32, slot: &mut Slot) -> Result<()> {
        let mut record = Record::EMPTY;
        let body = self.read(number, &mut record.0)?;
        if body == 0 {
            slot.entry.slot = 0;
            return Ok(());
        }
        slot.read(number, &record, body)
    }

    /// Reads a record and checks it; the length of its body, 0 if there is none.
    #[cfg_attr(not(feature = "std"), inline(never))]
    pub(super) fn read(&self, number: u32, record: &mut [u8]) -> Result<usize> {
        match self.storage.read(number, record)? {
            Some(length) => body_of(number, record.get(..length).ok_or(Error::Storage)?),
            None => Ok(0),
        }
    }

    /// Erases the slots, whatever they hold, from the last to the first, so that an interruption leaves
    /// no gap.
    #[cfg_attr(not(feature = "std"), inline(never))]
    pub(super) fn erase_slots(&mut self) -> Result<()> {
        let mut slots = 0;
        let mut record = Record::<SLOT_LEN>::EMPTY;
        loop {
            match self.read(slots + 1, &mut record.0) {
                Ok(0) => break,
                Ok(_) | Err(Error::StateIncompatible | Error::StateCorrupt) => slots += 1,
                Err(error) => return Err(error),
            }
        }
        while slots > 0 {
            self.storage.erase(slots)?;
            slots -= 1;
        }
        Ok(())
    }

    /// Reads a slot that was there.
    #[cfg_attr(not(feature = "std"), inline(never))]
    pub(super) fn existing_slot(&self, number: u32, slot: &mut Slot) -> Result<()> {
        self.read_slot(number, slot)?;
        if slot.entry.slot == 0 { Err(Error::StateCorrupt) } else { Ok(()) }
    }
}

/// What is looked for in the slots.
enum Search<'a> {
    /// The key of the label that the entry has.
    Key,
    /// The key with the lowest label above this one.
    NextKey(&'a Label),
    /// The first slot that is free.
    Free,
}
