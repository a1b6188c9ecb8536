// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a client holds in RAM beside its storage: keys at hand, and messages seen.

use super::slot::{Entry, Kind, Label, Stamp};
#[cfg(feature = "std")]
use crate::bytes::copy;
use crate::crypto::hash::hash_into;
use crate::crypto::siv::Siv;
use crate::id::Timestamp;
#[cfg(feature = "std")]
use crate::id::TopicHash;

/// A table of keys and, where it is wanted, a cache of messages that were seen.
///
/// A key that the table has no place for still works: the client reads it from storage.
pub trait Memory {
    /// Writes the hash of a topic of a length that was checked; a table may remember it.
    fn hash_topic(&self, topic: &str, hash: &mut [u8]) {
        hash_into(&[topic.as_bytes()], hash);
    }
    /// A key made ready, where the table has room for that.
    fn cipher(&self, _label: &Label) -> Option<&Siv> {
        None
    }
    /// Copies the key of the label that `found` has; without one, it is as before.
    fn find(&self, found: &mut Entry);
    /// Adds a key that is not there; dropped if there is no place.
    fn put(&mut self, entry: &Entry);
    /// Forgets the key of a name, which is that of a slot.
    fn remove(&mut self, kind: Kind, name: &[u8], slot: u32);
    /// Forgets all keys of a kind, or everything.
    fn clear(&mut self, kind: Option<Kind>);
    /// How many keys are at hand.
    fn count(&self) -> u32;
    /// Copies the key with the lowest label above `after`; without one, the copy is as before.
    fn next(&self, after: &Label, next: &mut Entry);
    /// Remembers a message, by its time and SIV, and says whether it is new. Without a cache, every
    /// message is new. Messages before `oldest` would be refused anyway and need not be remembered.
    fn first_time(&mut self, oldest: Timestamp, message: &Stamp) -> bool;
}

/// A table that grows on the heap, and a cache of a given size.
#[cfg(feature = "std")]
#[derive(Default)]
pub struct HeapMemory {
    keys: std::collections::BTreeMap<Label, Kept>,
    seen: std::collections::BTreeSet<(Timestamp, Stamp)>,
    cache: usize,
    /// Hashes of topics that were named lately: SHA3 would be half the cost of a short message.
    hashes: std::sync::Mutex<std::collections::HashMap<String, TopicHash>>,
}

/// A key, and the same made ready at its first use; it wipes itself.
#[cfg(feature = "std")]
struct Kept {
    entry: Entry,
    ready: std::sync::OnceLock<Box<Siv>>,
}

/// So many hashes are remembered; then all are forgotten, since a peer may choose the topics.
#[cfg(feature = "std")]
const HASHES_MAX: usize = 1024;
/// Of topics up to this length, in bytes.
#[cfg(feature = "std")]
const HASHED_MAX: usize = 256;

#[cfg(feature = "std")]
impl HeapMemory {
    /// Remembers up to `messages` messages and refuses the same bytes a second time. When it is
    /// full the oldest is forgotten. Two equal payloads in the same second under one key are equal
    /// bytes, so the second of them is refused as well (PROTOCOL section 7).
    pub fn with_replay_cache(messages: usize) -> Self {
        Self { cache: messages, ..Self::default() }
    }
}

#[cfg(feature = "std")]
impl Memory for HeapMemory {
    fn hash_topic(&self, topic: &str, hash: &mut [u8]) {
        // Another thread uses it at this moment: then without.
        let hashes = self.hashes.try_lock().ok().filter(|_| topic.len() <= HASHED_MAX);
        let Some(mut hashes) = hashes else { return hash_into(&[topic.as_bytes()], hash) };
        if let Some(known) = hashes.get(topic) {
            return copy(hash, known.as_bytes());
        }
        let new = TopicHash::of(topic);
        if hashes.len() >= HASHES_MAX {
            hashes.clear();
        }
        hashes.insert(topic.to_string(), new);
        copy(hash, new.as_bytes());
    }

    fn find(&self, found: &mut Entry) {
        if let Some(kept) = self.keys.get(found.label()) {
            found.clone_from(&kept.entry);
        }
    }

    fn cipher(&self, label: &Label) -> Option<&Siv> {
        let kept = self.keys.get(label)?;
        Some(kept.ready.get_or_init(|| Box::new(Siv::new(kept.entry.key()))))
    }

    fn put(&mut self, entry: &Entry) {
        let kept = Kept { entry: entry.clone(), ready: std::sync::OnceLock::new() };
        self.keys.insert(*entry.label(), kept);
    }

    fn remove(&mut self, kind: Kind, name: &[u8], _slot: u32) {
        let mut entry = Entry::NONE;
        entry.set_label(kind, name);
        self.keys.remove(entry.label());
    }

    fn clear(&mut self, kind: Option<Kind>) {
        self.keys.retain(|_, kept| kind.is_some() && kept.entry.kind() != kind);
        if kind.is_none() {
            self.seen.clear();
        }
    }

    fn count(&self) -> u32 {
        u32::try_from(self.keys.len()).unwrap_or(u32::MAX)
    }

    fn next(&self, after: &Label, next: &mut Entry) {
        use std::ops::Bound;
        let mut above = self.keys.range::<Label, _>((Bound::Excluded(after), Bound::Unbounded));
        if let Some((_, kept)) = above.next() {
            next.clone_from(&kept.entry);
        }
    }

    fn first_time(&mut self, oldest: Timestamp, message: &Stamp) -> bool {
        if self.cache == 0 {
            return true;
        }
        self.seen = self.seen.split_off(&(oldest, Stamp::NONE));
        if !self.seen.insert((message.time(), *message)) {
            return false;
        }
        if self.seen.len() > self.cache {
            self.seen.pop_first();
        }
        true
    }
}

/// A place for one key in a [`SliceMemory`].
#[derive(Clone)]
pub struct KeyPlace(Entry);

impl KeyPlace {
    /// A place without a key.
    pub const EMPTY: KeyPlace = KeyPlace(Entry::NONE);
}

impl Default for KeyPlace {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// A place for one message in the cache of a [`SliceMemory`].
#[derive(Clone, Copy)]
pub struct SeenPlace(Stamp);

impl SeenPlace {
    /// A place without a message.
    pub const EMPTY: SeenPlace = SeenPlace(Stamp::NONE);
}

impl Default for SeenPlace {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// A table, and a cache if `seen` is not empty, in memory that the caller gives.
#[derive(Default)]
pub struct SliceMemory<'a> {
    keys: &'a mut [KeyPlace],
    seen: &'a mut [SeenPlace],
}

impl<'a> SliceMemory<'a> {
    /// Takes over the places and empties them.
    pub fn new(keys: &'a mut [KeyPlace], seen: &'a mut [SeenPlace]) -> Self {
        let mut memory = Self::over(keys, seen);
        memory.clear(None);
        memory
    }

    /// Takes over places that are empty.
    pub(crate) fn over(keys: &'a mut [KeyPlace], seen: &'a mut [SeenPlace]) -> Self {
        Self { keys, seen }
    }
}

impl Drop for SliceMemory<'_> {
    /// Empties the places, which wipes their keys.
    fn drop(&mut self) {
        self.clear(None);
    }
}

impl Memory for SliceMemory<'_> {
    fn find(&self, found: &mut Entry) {
        self.keys.iter().for_each(|place| place.0.copy_if(found));
    }

    #[cfg_attr(not(feature = "std"), inline(never))]
    fn put(&mut self, entry: &Entry) {
        if let Some(place) = self.keys.iter_mut().find(|place| place.0.kind().is_none()) {
            place.0.clone_from(entry);
        }
    }

    fn remove(&mut self, _kind: Kind, _name: &[u8], slot: u32) {
        for place in &mut *self.keys {
            if place.0.slot == slot {
                place.0.clear();
            }
        }
    }

    #[cfg_attr(not(feature = "std"), inline(never))]
    fn clear(&mut self, kind: Option<Kind>) {
        for place in &mut *self.keys {
            if kind.is_none() || place.0.kind() == kind {
                place.0.clear();
            }
        }
        if kind.is_none() {
            self.seen.fill(SeenPlace::EMPTY);
        }
    }

    fn count(&self) -> u32 {
        self.keys.iter().map(|place| u32::from(place.0.kind().is_some())).sum()
    }

    fn next(&self, after: &Label, next: &mut Entry) {
        self.keys.iter().for_each(|place| place.0.copy_if_next(after, next));
    }

    fn first_time(&mut self, _oldest: Timestamp, message: &Stamp) -> bool {
        // An empty place is older than any message.
        let mut oldest: Option<&mut SeenPlace> = None;
        for place in &mut *self.seen {
            if place.0 == *message {
                return false;
            }
            if oldest.as_ref().is_none_or(|oldest| place.0.time() <= oldest.0.time()) {
                oldest = Some(place);
            }
        }
        if let Some(place) = oldest {
            place.0.set(message);
        }
        true
    }
}
