// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Keys found: in the table, and where that does not hold all, in the storage.

use super::Client;
use super::memory::Memory;
use super::records::{self, Entry, Kind};
use super::storage::{RECORD_MAX, Storage};
use crate::error::{Error, Result};
use crate::id::ID_LEN;
use crate::sizes::KEY_LEN;

impl<S: Storage, M: Memory> Client<S, M> {
    /// Looks a key up: in the table, and if that does not hold all, in the storage.
    pub(super) fn with_entry<R>(
        &self,
        kind: Kind,
        name: &[u8; ID_LEN],
        then: impl FnOnce(Option<&Entry>) -> R,
    ) -> Result<R> {
        if let Some(entry) = self.memory.get(kind, name) {
            return Ok(then(Some(entry)));
        }
        let mut found = None;
        if self.overflows(kind) {
            self.each_stored(kind, |at, entry| {
                if at == name {
                    found = Some(entry);
                }
            })?;
        }
        Ok(then(found.as_ref()))
    }

    /// The key with the lowest name above `after`, and that name.
    pub(super) fn next_entry(
        &self,
        kind: Kind,
        after: Option<&[u8; ID_LEN]>,
    ) -> Result<Option<NamedKey>> {
        let own = |(name, entry): (&[u8; ID_LEN], &Entry)| (*name, entry.key.into());
        let mut lowest = self.memory.next(kind, after).map(own);
        if self.overflows(kind) {
            self.each_stored(kind, |name, entry| {
                let above = after.is_none_or(|after| name > after);
                if above && lowest.as_ref().is_none_or(|(lowest, _)| name < lowest) {
                    lowest = Some(own((name, &entry)));
                }
            })?;
        }
        Ok(lowest)
    }

    /// Whether keys of a kind stand in the storage alone.
    pub(super) fn overflows(&self, kind: Kind) -> bool {
        self.memory.count(kind) < *self.live.of(kind)
    }

    pub(super) fn each_stored(
        &self,
        kind: Kind,
        mut each: impl FnMut(&[u8; ID_LEN], Entry),
    ) -> Result<()> {
        for number in 1..=self.slots {
            let slot = self.read_slot(number)?.ok_or(Error::StateCorrupt)?;
            if slot.kind == Some(kind) && slot.generation == *self.generations.of(kind) {
                each(&slot.name, slot.entry);
            }
        }
        Ok(())
    }

    pub(super) fn read_slot(&self, slot: u32) -> Result<Option<records::Slot>> {
        read_record(&self.storage, slot, |bytes| records::decode_slot(slot, bytes))
    }
}

/// A name and the key of that name.
pub(super) type NamedKey = ([u8; ID_LEN], zeroize::Zeroizing<[u8; KEY_LEN]>);

pub(super) fn read_record<S: Storage, R>(
    storage: &S,
    record: u32,
    decode: impl FnOnce(&[u8]) -> Result<R>,
) -> Result<Option<R>> {
    let mut buffer = zeroize::Zeroizing::new([0; RECORD_MAX]);
    let Some(length) = storage.read(record, &mut *buffer)? else { return Ok(None) };
    decode(buffer.get(..length).ok_or(Error::Storage)?).map(Some)
}

/// Erases the slots from the last to the first, so that an interruption leaves no gap.
pub(super) fn erase_slots<S: Storage>(storage: &mut S) -> Result<()> {
    let mut slots = 0;
    while read_record(storage, slots + 1, |_| Ok(()))?.is_some() {
        slots += 1;
    }
    (1..=slots).rev().try_for_each(|slot| storage.erase(slot))
}
