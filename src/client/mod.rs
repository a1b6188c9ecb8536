// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The device: keys in a storage, messages and commands through it (PROTOCOL section 7).

mod commands;
#[cfg(feature = "std")]
mod file;
mod head;
mod identity;
#[cfg(feature = "std")]
pub mod import;
mod lookup;
pub mod memory;
mod messages;
mod record;
mod slot;
pub mod storage;

pub use identity::Identity;
pub use messages::{Message, Signer, Unprotected};

use self::head::{HEAD, Head, HeadRecord};
use self::identity::Keys;
use self::memory::Memory;
use self::slot::{Entry, Kind, PerKind, Slot, Stamp};
use self::storage::Storage;
use crate::crypto::hash::hash_into;
use crate::error::{Error, Result};
use crate::id::{ClientId, ID_LEN, Mode, Timestamp, TopicHash};
use crate::protect::{self, ProtectedAnswer, Window};
use crate::sizes::KEY_LEN;
use crate::wire::answer::{self, ANSWER_LEN, ANSWER_PLAIN_LEN, DIGEST_LEN, StateDigest};
use crate::wire::message::SIV_LEN;
use crate::wire::topic::ClientTopic;

/// The table of a client that is not told otherwise: it grows.
#[cfg(feature = "std")]
pub type DefaultMemory = memory::HeapMemory;
/// The table of a client that is not told otherwise: the caller's memory.
#[cfg(not(feature = "std"))]
pub type DefaultMemory = memory::SliceMemory<'static>;

/// What a client tolerates. Not stored: give it at every start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How far timestamps may be from the clock.
    pub window: Window,
    /// How long a replaced topic key still opens messages, in seconds; 3600 by default.
    pub transition: u32,
    /// Whether a PK client takes messages of signers whose public key it does not hold; off by
    /// default. A wrong signature of a known signer is never taken; but with this on, whoever holds
    /// the topic key can write under any id that is not known, so look at [`Signer::verified`].
    pub accept_unknown_signers: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { window: Window::default(), transition: 3600, accept_unknown_signers: false }
    }
}

/// A device, or any party that talks on protected topics.
///
/// `now` is the time, or `None` on a device without a clock: such a client takes the time from the
/// last command it applied and judges messages by that.
pub struct Client<S, M = DefaultMemory> {
    storage: S,
    memory: M,
    settings: Settings,
    head: Head,
    keys: Keys,
    /// The replay mark has commands that stand in slots alone, not yet in the stored head.
    head_behind: bool,
    /// How many slots exist, and how many of them hold a key.
    slots: u32,
    live: PerKind<u32>,
    /// The last command that authenticated, for the answer.
    last: Stamp,
    last_status: Option<Result<()>>,
}

#[cfg(feature = "std")]
impl<S: Storage> Client<S> {
    /// Stores a new client.
    ///
    /// # Errors
    /// [`Error::AlreadyProvisioned`] if the storage holds a client, which is not touched; errors
    /// of the storage.
    pub fn provision(storage: S, identity: Identity) -> Result<Self> {
        Self::provision_with(storage, DefaultMemory::default(), Settings::default(), identity)
    }

    /// Opens a stored client.
    ///
    /// # Errors
    /// [`Error::NotProvisioned`], [`Error::StateCorrupt`], [`Error::StateIncompatible`], errors of
    /// the storage.
    pub fn open(storage: S) -> Result<Self> {
        Self::open_with(storage, DefaultMemory::default(), Settings::default())
    }
}

impl<S: Storage, M: Memory> Client<S, M> {
    /// [`Client::provision`] with a given table and settings.
    ///
    /// # Errors
    /// Those of [`Client::provision`].
    pub fn provision_with(
        storage: S,
        memory: M,
        settings: Settings,
        identity: Identity,
    ) -> Result<Self> {
        let mut client = Self::closed(storage, memory, settings);
        client.create(identity, &mut [])?;
        Ok(client)
    }

    /// [`Client::open`] with a given table and settings.
    ///
    /// # Errors
    /// Those of [`Client::open`].
    pub fn open_with(storage: S, memory: M, settings: Settings) -> Result<Self> {
        let mut client = Self::closed(storage, memory, settings);
        client.load()?;
        Ok(client)
    }

    /// A client that is nobody yet, until [`Client::create`] or [`Client::load`].
    #[inline(always)]
    pub(crate) fn closed(storage: S, memory: M, settings: Settings) -> Self {
        Self {
            storage,
            memory,
            settings,
            head: Head::NONE,
            keys: Keys::NONE,
            head_behind: false,
            slots: 0,
            live: PerKind { topics: 0, peers: 0 },
            last: Stamp::NONE,
            last_status: None,
        }
    }

    /// Stores a new client with the keys that it brings, and becomes it. The head, which is
    /// written last, makes it exist.
    pub(crate) fn create(&mut self, identity: Identity, keys: &mut [Entry]) -> Result<()> {
        let (id, mode) = (identity.id(), identity.mode());
        self.keys = identity.into_keys();
        self.store(id.as_bytes(), mode, keys)
    }

    /// [`Client::create`] of an SK client, from its id and key as they come.
    #[cfg(feature = "capi")]
    pub(crate) fn create_symmetric(
        &mut self,
        id: &[u8; ID_LEN],
        key: &[u8; KEY_LEN],
    ) -> Result<()> {
        self.keys.read(Mode::Symmetric as u8, key)?;
        self.store(id, Mode::Symmetric, &mut [])
    }

    /// [`Client::create`] with its own keys in place.
    fn store(&mut self, id: &[u8; ID_LEN], mode: Mode, keys: &mut [Entry]) -> Result<()> {
        match self.load_head() {
            Err(Error::NotProvisioned) => {}
            Ok(()) | Err(Error::StateIncompatible | Error::StateCorrupt | Error::InvalidKey) => {
                return Err(Error::AlreadyProvisioned);
            }
            Err(error) => return Err(error),
        }
        // What an interrupted `forget` or import left.
        self.erase_slots()?;
        for (number, entry) in (1..).zip(keys) {
            entry.slot = number;
            self.write_record(entry, &Stamp::NONE)?;
        }
        self.head.start(id, mode);
        self.write_head(None, None, None)?;
        self.load()
    }

    /// Becomes the stored client.
    #[cfg_attr(not(feature = "std"), inline(never))]
    pub(crate) fn load(&mut self) -> Result<()> {
        if let Err(error) = self.load_head() {
            if error == Error::NotProvisioned {
                self.erase_slots()?;
            }
            return Err(error);
        }
        self.load_slots()
    }

    /// Reads the head. A frame of its own on microcontrollers: the record is not to lie under what
    /// reads the slots.
    #[cfg_attr(not(feature = "std"), inline(never))]
    fn load_head(&mut self) -> Result<()> {
        let mut record = HeadRecord::EMPTY;
        match self.read(HEAD, &mut record.0) {
            Ok(0) => Err(Error::NotProvisioned),
            Ok(body) if record.is_head() => self.head.read(&record, body, &mut self.keys),
            // What another program, or a later version, has written need not have this check.
            Ok(_) | Err(Error::StateCorrupt) if !record.is_head() => Err(Error::StateIncompatible),
            read => read.map(|_| ()),
        }
    }

    /// Reads every slot: keys into the table, and commands that the head does not know into the
    /// replay mark. Keys that a reset forgot but a power cut kept are wiped.
    fn load_slots(&mut self) -> Result<()> {
        let mut slot = Slot::NONE;
        loop {
            self.read_slot(self.slots + 1, &mut slot)?;
            if slot.entry.slot == 0 {
                return Ok(());
            }
            self.slots += 1;
            if slot.stamp.is_some() && self.head.check(&slot.stamp).is_ok() {
                self.head.add(&slot.stamp);
                self.head_behind = true;
            }
            match slot.entry.kind() {
                Some(kind) if self.is_live(&slot) => {
                    *self.live.of_mut(kind) += 1;
                    self.memory.put(&slot.entry);
                }
                Some(_) => self.wipe(&mut slot),
                None => {}
            }
        }
    }

    /// Forgets the client: erases every record.
    ///
    /// # Errors
    /// [`Error::Storage`]. The head goes first: after an error, or a power cut, the storage holds
    /// either the whole client or none, and what is left of its keys is erased by the next
    /// `open` or `provision`.
    pub fn forget(mut self) -> Result<S> {
        self.erase()?;
        Ok(self.storage)
    }

    pub(crate) fn erase(&mut self) -> Result<()> {
        self.storage.erase(HEAD)?;
        self.erase_slots()
    }

    /// The id.
    pub fn id(&self) -> ClientId {
        self.head.id()
    }

    #[cfg(feature = "capi")]
    pub(crate) fn id_bytes(&self) -> &[u8; ID_LEN] {
        self.head.id_bytes()
    }

    /// The mode.
    pub fn mode(&self) -> Mode {
        self.keys.mode()
    }

    /// The public key of a PK client, by which others check its messages.
    #[cfg(feature = "pubkey")]
    pub fn public_key(&self) -> Option<crate::crypto::sign::PublicKey> {
        self.keys.public()
    }

    /// The topic to subscribe to for commands.
    pub fn control_topic(&self) -> ClientTopic {
        ClientTopic::control(self.id())
    }

    /// The topic on which answers are published.
    pub fn answer_topic(&self) -> ClientTopic {
        ClientTopic::answer(self.id())
    }

    /// What the client tolerates.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Changes what the client tolerates.
    pub fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// Whether the client holds a key for a topic.
    ///
    /// # Errors
    /// [`Error::InvalidTopic`], errors of the storage.
    pub fn has_topic(&self, topic: &str) -> Result<bool> {
        let mut entry = Entry::NONE;
        entry.set_label(Kind::Topic, TopicHash::from_topic(topic)?.as_bytes());
        self.holds(&mut entry)
    }

    /// How many keys the client holds.
    fn live(&self) -> u32 {
        self.live.topics + self.live.peers
    }

    /// How many topic keys the client holds.
    pub fn topic_count(&self) -> u32 {
        self.live.topics
    }

    /// How many public keys of others the client holds.
    pub fn peer_count(&self) -> u32 {
        self.live.peers
    }

    /// The answer to the last command that authenticated, to be published on
    /// [`Client::answer_topic`] with QoS 1, not retained; `None` if there is none that was not
    /// answered yet. A refused command is answered with its error; a replayed one is not answered.
    ///
    /// # Errors
    /// [`Error::ClockUnknown`], errors of the storage.
    pub fn answer(&mut self, now: impl Into<Option<Timestamp>>) -> Result<Option<ProtectedAnswer>> {
        let mut answer = [0; ANSWER_LEN];
        Ok(self.answer_into(now.into(), &mut answer)?.then_some(answer))
    }

    /// [`Client::answer`], in its place; false if there is none.
    pub(crate) fn answer_into(
        &mut self,
        now: Option<Timestamp>,
        out: &mut ProtectedAnswer,
    ) -> Result<bool> {
        let Some(status) = self.last_status else { return Ok(false) };
        self.protect_answer(now, Some(self.last.siv()), status, out)?;
        self.last_status = None;
        Ok(true)
    }

    /// A "hello", by which a client that has lost its way asks C2 to be brought up to date; it is
    /// published like an answer.
    ///
    /// # Errors
    /// [`Error::ClockUnknown`], errors of the storage.
    pub fn hello(&self, now: impl Into<Option<Timestamp>>) -> Result<ProtectedAnswer> {
        let mut hello = [0; ANSWER_LEN];
        self.protect_answer(now.into(), None, Ok(()), &mut hello)?;
        Ok(hello)
    }

    #[cfg_attr(not(feature = "std"), inline(never))]
    fn protect_answer(
        &self,
        now: Option<Timestamp>,
        command: Option<&[u8; SIV_LEN]>,
        status: Result<()>,
        out: &mut ProtectedAnswer,
    ) -> Result<()> {
        let now = self.time(now)?;
        let mut plain = [0; ANSWER_PLAIN_LEN];
        let (start, digest) = plain.split_last_chunk_mut().ok_or(Error::Internal)?;
        answer::start(command, status, start);
        self.digest_into(digest)?;
        protect::seal_answer(self.keys.command_key(), now, &plain, out)
    }

    /// The digest of the keys that the client holds (PROTOCOL section 11).
    ///
    /// # Errors
    /// Errors of the storage.
    pub fn digest(&self) -> Result<StateDigest> {
        let mut digest = [0; DIGEST_LEN];
        self.digest_into(&mut digest)?;
        Ok(StateDigest(digest))
    }

    /// [`Client::digest`], in its place.
    #[cfg_attr(not(feature = "std"), inline(never))]
    pub(crate) fn digest_into(&self, out: &mut [u8; DIGEST_LEN]) -> Result<()> {
        let mut digest = protect::StateDigester::default();
        let mut at = Entry::NONE;
        loop {
            self.next(&mut at)?;
            if at.slot == 0 {
                break;
            }
            digest.part(at.label());
            match at.kind() {
                Some(Kind::Topic) => {
                    let mut fingerprint = [0; KEY_LEN];
                    hash_into(&[at.key()], &mut fingerprint);
                    digest.part(&fingerprint);
                }
                _ => digest.part(at.key()),
            }
        }
        digest.end(out);
        Ok(())
    }

    /// The time, or that of the last command.
    fn time(&self, now: Option<Timestamp>) -> Result<Timestamp> {
        let known = self.head.time() != Timestamp::default();
        now.or(known.then(|| self.head.time())).ok_or(Error::ClockUnknown)
    }
}

impl<S, M> core::fmt::Debug for Client<S, M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Client")
            .field("id", &self.head.id())
            .field("mode", &self.keys.mode())
            .field("topics", &self.live.topics)
            .field("peers", &self.live.peers)
            .finish_non_exhaustive()
    }
}
