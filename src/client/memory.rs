// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a client holds in RAM beside its storage: keys at hand, and messages seen.

use super::records::{Entry, Kind};
use crate::crypto::siv::Siv;
use crate::error::Result;
use crate::id::{ID_LEN, Timestamp, TopicHash};
use crate::wire::message::SIV_LEN;

/// A table of keys and, where it is wanted, a cache of messages that were seen.
///
/// A key that the table has no place for still works: the client reads it from storage.
pub trait Memory {
    /// The hash of a topic; a table may remember it.
    ///
    /// # Errors
    /// [`InvalidTopic`](crate::Error::InvalidTopic).
    fn topic_hash(&self, topic: &str) -> Result<TopicHash> {
        TopicHash::from_topic(topic)
    }
    /// A key made ready, where the table has room for that.
    fn cipher(&self, _kind: Kind, _name: &[u8; ID_LEN]) -> Option<&Siv> {
        None
    }
    /// The key of a name.
    fn get(&self, kind: Kind, name: &[u8; ID_LEN]) -> Option<&Entry>;
    /// Adds or replaces a key; dropped if there is no place.
    fn put(&mut self, kind: Kind, name: [u8; ID_LEN], entry: Entry);
    /// Forgets a key.
    fn remove(&mut self, kind: Kind, name: &[u8; ID_LEN]);
    /// Forgets all keys of a kind.
    fn clear(&mut self, kind: Kind);
    /// How many keys of a kind are at hand.
    fn count(&self, kind: Kind) -> u32;
    /// The key with the lowest name above `after`.
    fn next(&self, kind: Kind, after: Option<&[u8; ID_LEN]>) -> Option<(&[u8; ID_LEN], &Entry)>;
    /// Remembers a message and says whether it is new. Without a cache, every message is new.
    /// Messages before `oldest` would be refused anyway and need not be remembered.
    fn first_time(&mut self, oldest: Timestamp, time: Timestamp, siv: &[u8; SIV_LEN]) -> bool;
}

/// A table that grows on the heap, and a cache of a given size.
#[cfg(feature = "std")]
#[derive(Default)]
pub struct HeapMemory {
    keys: std::collections::BTreeMap<(Kind, [u8; ID_LEN]), Kept>,
    counts: super::records::PerKind<u32>,
    seen: std::collections::BTreeSet<(Timestamp, [u8; SIV_LEN])>,
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
    fn topic_hash(&self, topic: &str) -> Result<TopicHash> {
        // Another thread uses it at this moment: then without.
        let hashes = self.hashes.try_lock().ok().filter(|_| topic.len() <= HASHED_MAX);
        let Some(mut hashes) = hashes else { return TopicHash::from_topic(topic) };
        if let Some(hash) = hashes.get(topic) {
            return Ok(*hash);
        }
        let hash = TopicHash::from_topic(topic)?;
        if hashes.len() >= HASHES_MAX {
            hashes.clear();
        }
        hashes.insert(topic.to_string(), hash);
        Ok(hash)
    }

    fn get(&self, kind: Kind, name: &[u8; ID_LEN]) -> Option<&Entry> {
        self.keys.get(&(kind, *name)).map(|kept| &kept.entry)
    }

    fn cipher(&self, kind: Kind, name: &[u8; ID_LEN]) -> Option<&Siv> {
        let kept = self.keys.get(&(kind, *name))?;
        Some(kept.ready.get_or_init(|| Box::new(Siv::new(&kept.entry.key))))
    }

    fn put(&mut self, kind: Kind, name: [u8; ID_LEN], entry: Entry) {
        let kept = Kept { entry, ready: std::sync::OnceLock::new() };
        if self.keys.insert((kind, name), kept).is_none() {
            *self.counts.of_mut(kind) += 1;
        }
    }

    fn remove(&mut self, kind: Kind, name: &[u8; ID_LEN]) {
        if self.keys.remove(&(kind, *name)).is_some() {
            *self.counts.of_mut(kind) -= 1;
        }
    }

    fn clear(&mut self, kind: Kind) {
        self.keys.retain(|(of, _), _| *of != kind);
        *self.counts.of_mut(kind) = 0;
    }

    fn count(&self, kind: Kind) -> u32 {
        *self.counts.of(kind)
    }

    fn next(&self, kind: Kind, after: Option<&[u8; ID_LEN]>) -> Option<(&[u8; ID_LEN], &Entry)> {
        use std::ops::Bound;
        let from = match after {
            Some(name) => Bound::Excluded((kind, *name)),
            None => Bound::Included((kind, [0; ID_LEN])),
        };
        let ((of, name), kept) = self.keys.range((from, Bound::Unbounded)).next()?;
        (*of == kind).then_some((name, &kept.entry))
    }

    fn first_time(&mut self, oldest: Timestamp, time: Timestamp, siv: &[u8; SIV_LEN]) -> bool {
        if self.cache == 0 {
            return true;
        }
        self.seen = self.seen.split_off(&(oldest, [0; SIV_LEN]));
        if !self.seen.insert((time, *siv)) {
            return false;
        }
        if self.seen.len() > self.cache {
            self.seen.pop_first();
        }
        true
    }
}

/// A place for one key in a [`SliceMemory`].
#[derive(Clone, Default)]
pub struct KeyPlace(Option<(Kind, [u8; ID_LEN], Entry)>);

impl KeyPlace {
    /// A place without a key.
    pub const EMPTY: KeyPlace = KeyPlace(None);
}

/// A place for one message in the cache of a [`SliceMemory`].
#[derive(Clone, Copy, Default)]
pub struct SeenPlace(Option<(Timestamp, [u8; SIV_LEN])>);

impl SeenPlace {
    /// A place without a message.
    pub const EMPTY: SeenPlace = SeenPlace(None);
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
        keys.iter_mut().for_each(|place| place.0 = None);
        seen.iter_mut().for_each(|place| place.0 = None);
        Self::over(keys, seen)
    }

    /// Takes over places that are empty.
    pub(crate) fn over(keys: &'a mut [KeyPlace], seen: &'a mut [SeenPlace]) -> Self {
        Self { keys, seen }
    }

    fn entries(&self, kind: Kind) -> impl Iterator<Item = (&[u8; ID_LEN], &Entry)> {
        let filled = self.keys.iter().filter_map(|place| place.0.as_ref());
        filled.filter(move |(of, ..)| *of == kind).map(|(_, name, entry)| (name, entry))
    }
}

impl Drop for SliceMemory<'_> {
    /// Empties the places, which wipes their keys.
    fn drop(&mut self) {
        self.keys.iter_mut().for_each(|place| place.0 = None);
        self.seen.iter_mut().for_each(|place| place.0 = None);
    }
}

impl Memory for SliceMemory<'_> {
    fn get(&self, kind: Kind, name: &[u8; ID_LEN]) -> Option<&Entry> {
        self.entries(kind).find(|(of, _)| *of == name).map(|(_, entry)| entry)
    }

    fn put(&mut self, kind: Kind, name: [u8; ID_LEN], entry: Entry) {
        self.remove(kind, &name);
        if let Some(place) = self.keys.iter_mut().find(|place| place.0.is_none()) {
            place.0 = Some((kind, name, entry));
        }
    }

    fn remove(&mut self, kind: Kind, name: &[u8; ID_LEN]) {
        for place in &mut *self.keys {
            if place.0.as_ref().is_some_and(|(of, at, _)| *of == kind && at == name) {
                place.0 = None;
            }
        }
    }

    fn clear(&mut self, kind: Kind) {
        for place in &mut *self.keys {
            if place.0.as_ref().is_some_and(|(of, ..)| *of == kind) {
                place.0 = None;
            }
        }
    }

    fn count(&self, kind: Kind) -> u32 {
        u32::try_from(self.entries(kind).count()).unwrap_or(u32::MAX)
    }

    fn next(&self, kind: Kind, after: Option<&[u8; ID_LEN]>) -> Option<(&[u8; ID_LEN], &Entry)> {
        let above = self.entries(kind).filter(|(name, _)| after.is_none_or(|after| *name > after));
        above.min_by_key(|(name, _)| *name)
    }

    fn first_time(&mut self, _oldest: Timestamp, time: Timestamp, siv: &[u8; SIV_LEN]) -> bool {
        // An empty place comes first, then that of the oldest message.
        let (mut oldest, mut oldest_place) = (u64::MAX, None);
        for place in &mut *self.seen {
            let age = match &place.0 {
                Some((at, known)) if *at == time && known == siv => return false,
                Some((at, _)) => at.as_secs(),
                None => 0,
            };
            if age <= oldest {
                (oldest, oldest_place) = (age, Some(place));
            }
        }
        if let Some(place) = oldest_place {
            place.0 = Some((time, *siv));
        }
        true
    }
}
