// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The device: keys in a storage, messages and commands through it (PROTOCOL section 7).

mod commands;
#[cfg(feature = "std")]
mod file;
mod identity;
#[cfg(feature = "std")]
pub mod import;
mod mark;
pub mod memory;
mod records;
pub mod storage;

pub use identity::Identity;

use zeroize::Zeroize;

use self::identity::Keys;
use self::mark::Mark;
use self::memory::Memory;
use self::records::{Entry, HEAD, Kind, PerKind, Stamp};
use self::storage::{RECORD_MAX, Storage};
use crate::command::Opcode;
use crate::crypto::hash::sha3_256;
use crate::crypto::keys::KEY_LEN;
use crate::error::{Error, Result};
use crate::id::{ClientId, ID_LEN, Mode, Timestamp, TopicHash, check_topic};
use crate::protect::{self, ProtectedAnswer, Window};
use crate::wire::answer::{Answer, StateDigest};
#[cfg(feature = "pubkey")]
use crate::wire::message::Signed;
use crate::wire::message::{SIV_LEN, Sealed};
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
    /// default. A wrong signature of a known signer is never taken.
    pub accept_unknown_signers: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { window: Window::default(), transition: 3600, accept_unknown_signers: false }
    }
}

/// What came in.
#[derive(Debug)]
pub enum Unprotected<B> {
    /// A message for the application.
    Message(Message<B>),
    /// A command of C2; it was applied and stored. [`Client::answer`] has the answer for C2.
    CommandApplied(Opcode),
}

/// A message that authenticated.
#[derive(Debug)]
pub struct Message<B> {
    /// The plaintext; it may be empty.
    pub plaintext: B,
    /// The sender's clock.
    pub timestamp: Timestamp,
    /// Who signed (PK).
    pub signer: Option<Signer>,
}

/// Who signed a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The id in the message.
    pub id: ClientId,
    /// Whether the signature was checked; false only for a signer whose key is not held, where
    /// [`Settings::accept_unknown_signers`] is on.
    pub verified: bool,
}

/// A device, or any party that talks on protected topics.
///
/// `now` is the time, or `None` on a device without a clock: such a client takes the time from the
/// last command it applied and judges messages by that.
pub struct Client<S, M = DefaultMemory> {
    storage: S,
    memory: M,
    settings: Settings,
    identity: Identity,
    generations: PerKind<u32>,
    mark: Mark,
    /// The replay mark has commands that stand in slots alone, not yet in the stored head.
    head_behind: bool,
    /// How many slots exist, and how many of them hold a key.
    slots: u32,
    live: PerKind<u32>,
    /// The last command that authenticated, for the answer.
    last: Option<(Stamp, Result<()>)>,
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
        Self::create(storage, memory, settings, identity, core::iter::empty())
    }

    /// Writes the keys of a new client, then its head, which makes it exist.
    fn create(
        mut storage: S,
        memory: M,
        settings: Settings,
        identity: Identity,
        keys: impl Iterator<Item = (Kind, [u8; ID_LEN], Entry)>,
    ) -> Result<Self> {
        if read_record(&storage, HEAD, |_| Ok(()))?.is_some() {
            return Err(Error::AlreadyProvisioned);
        }
        // What an interrupted `forget` or import left.
        erase_slots(&mut storage)?;
        let mut slots = 0;
        for (kind, name, mut entry) in keys {
            slots += 1;
            entry.slot = slots;
            let slot = records::encode_slot(kind, 0, &Stamp::default(), &name, &entry);
            storage.write(slots, &slot)?;
        }
        let mark = Mark::new(Timestamp::default());
        let head = records::encode_head(&identity, &PerKind::default(), &mark);
        storage.write(HEAD, &head)?;
        Self::open_with(storage, memory, settings)
    }

    /// [`Client::open`] with a given table and settings.
    ///
    /// # Errors
    /// Those of [`Client::open`].
    pub fn open_with(mut storage: S, memory: M, settings: Settings) -> Result<Self> {
        let Some(head) = read_record(&storage, HEAD, records::decode_head)? else {
            erase_slots(&mut storage)?;
            return Err(Error::NotProvisioned);
        };
        let mut client = Self {
            storage,
            memory,
            settings,
            identity: head.identity,
            generations: head.generations,
            mark: head.mark,
            head_behind: false,
            slots: 0,
            live: PerKind::default(),
            last: None,
        };
        client.load()?;
        Ok(client)
    }

    /// Reads every slot: keys into the table, and commands that the head does not know into the
    /// replay mark. Keys that a reset forgot but a power cut kept are wiped.
    fn load(&mut self) -> Result<()> {
        while let Some(slot) = self.read_slot(self.slots + 1)? {
            self.slots += 1;
            if slot.stamp.time >= self.mark.time()
                && slot.stamp != Stamp::default()
                && !self.mark.contains(&slot.stamp)
            {
                self.mark.add(slot.stamp);
                self.head_behind = true;
            }
            match slot.kind {
                Some(kind) if slot.generation == *self.generations.of(kind) => {
                    *self.live.of_mut(kind) += 1;
                    self.memory.put(kind, slot.name, slot.entry);
                }
                Some(_) => self.wipe_slot(self.slots, &slot.stamp),
                None => {}
            }
        }
        Ok(())
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
        erase_slots(&mut self.storage)
    }

    /// The id.
    pub fn id(&self) -> ClientId {
        self.identity.id()
    }

    /// The mode.
    pub fn mode(&self) -> Mode {
        self.identity.mode()
    }

    /// The public key of a PK client, by which others check its messages.
    #[cfg(feature = "pubkey")]
    pub fn public_key(&self) -> Option<crate::crypto::sign::PublicKey> {
        self.identity.public()
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
        let hash = TopicHash::from_topic(topic)?;
        self.with_entry(Kind::Topic, hash.as_bytes(), |entry| entry.is_some())
    }

    /// How many topic keys the client holds.
    pub fn topic_count(&self) -> u32 {
        self.live.topics
    }

    /// How many public keys of others the client holds.
    pub fn peer_count(&self) -> u32 {
        self.live.peers
    }

    /// Protects a message for a topic into the start of `out`, which needs 24 (SK) or 104 (PK)
    /// bytes more than the message, and returns it. A peer that runs e4go refuses an empty SK
    /// message.
    ///
    /// # Errors
    /// [`Error::TopicKeyMissing`]; [`Error::InvalidTopic`], also for the client's own control
    /// topic; [`Error::BufferTooSmall`]; [`Error::ClockUnknown`]; errors of the storage.
    pub fn protect<'o>(
        &self,
        now: impl Into<Option<Timestamp>>,
        topic: &str,
        message: &[u8],
        out: &'o mut [u8],
    ) -> Result<&'o mut [u8]> {
        check_topic(topic)?;
        if *topic == *self.control_topic() {
            return Err(Error::InvalidTopic);
        }
        let now = self.time(now.into())?;
        let hash = TopicHash::from_topic(topic)?;
        self.with_entry(Kind::Topic, hash.as_bytes(), |entry| {
            let key = &entry.ok_or(Error::TopicKeyMissing)?.key;
            match self.identity.keys() {
                Keys::Symmetric(_) => protect::seal(key, now, message, out),
                #[cfg(feature = "pubkey")]
                Keys::KeyPair { signing, .. } => {
                    protect::seal_signed(key, self.id(), signing, now, message, out)
                }
            }
        })?
    }

    /// Takes in what arrived on a topic: a message for the application, or, on the control topic,
    /// a command that is applied and stored. The plaintext is put at the start of `out`, which
    /// needs `protected.len() - 24` bytes and is wiped on failure.
    ///
    /// A command seen before gives [`Error::Replayed`], which is a normal event where commands are
    /// retained by the broker.
    ///
    /// # Errors
    /// [`Error::InvalidTopic`], [`Error::TopicKeyMissing`], [`Error::MessageTooShort`],
    /// [`Error::TimestampInFuture`], [`Error::TimestampTooOld`], [`Error::SignerUnknown`],
    /// [`Error::SignatureInvalid`], [`Error::InvalidTag`], [`Error::Replayed`],
    /// [`Error::BufferTooSmall`]; for a command also [`Error::InvalidCommand`],
    /// [`Error::InvalidKey`] and errors of the storage, after which nothing has changed.
    pub fn unprotect<'o>(
        &mut self,
        now: impl Into<Option<Timestamp>>,
        topic: &str,
        protected: &[u8],
        out: &'o mut [u8],
    ) -> Result<Unprotected<&'o mut [u8]>> {
        check_topic(topic)?;
        let now = now.into();
        if *topic == *self.control_topic() {
            return self.unprotect_command(now, protected, out).map(Unprotected::CommandApplied);
        }
        let hash = TopicHash::from_topic(topic)?;
        let (sealed, signer) = self.with_entry(Kind::Topic, hash.as_bytes(), |entry| {
            self.open_message(now, entry.ok_or(Error::TopicKeyMissing)?, protected, out)
        })??;
        let oldest = now.unwrap_or(self.mark.time()).before(self.settings.window.past.into());
        let plaintext = out.get_mut(..sealed.ciphertext.len()).ok_or(Error::Internal)?;
        if !self.memory.first_time(oldest, sealed.time(), sealed.siv) {
            plaintext.zeroize();
            return Err(Error::Replayed);
        }
        Ok(Unprotected::Message(Message { plaintext, timestamp: sealed.time(), signer }))
    }

    /// [`Client::protect`] into a new vector.
    ///
    /// # Errors
    /// Those of [`Client::protect`].
    #[cfg(feature = "std")]
    pub fn protect_to_vec(
        &self,
        now: impl Into<Option<Timestamp>>,
        topic: &str,
        message: &[u8],
    ) -> Result<Vec<u8>> {
        let mut out = vec![0; message.len() + self.mode().overhead()];
        self.protect(now, topic, message, &mut out)?;
        Ok(out)
    }

    /// [`Client::unprotect`] into a new vector.
    ///
    /// # Errors
    /// Those of [`Client::unprotect`].
    #[cfg(feature = "std")]
    pub fn unprotect_to_vec(
        &mut self,
        now: impl Into<Option<Timestamp>>,
        topic: &str,
        protected: &[u8],
    ) -> Result<Unprotected<Vec<u8>>> {
        let mut out = vec![0; protected.len()];
        match self.unprotect(now, topic, protected, &mut out)? {
            Unprotected::CommandApplied(opcode) => Ok(Unprotected::CommandApplied(opcode)),
            Unprotected::Message(Message { plaintext, timestamp, signer }) => {
                let length = plaintext.len();
                out.truncate(length);
                Ok(Unprotected::Message(Message { plaintext: out, timestamp, signer }))
            }
        }
    }

    /// The answer to the last command that authenticated, to be published on
    /// [`Client::answer_topic`] with QoS 1, not retained; `None` if there is none that was not
    /// answered yet. A refused command is answered with its error; a replayed one is not answered.
    ///
    /// # Errors
    /// [`Error::ClockUnknown`], errors of the storage.
    pub fn answer(&mut self, now: impl Into<Option<Timestamp>>) -> Result<Option<ProtectedAnswer>> {
        let Some((stamp, status)) = self.last else { return Ok(None) };
        let answer = self.protect_answer(now.into(), Some(stamp.siv), status)?;
        self.last = None;
        Ok(Some(answer))
    }

    /// A "hello", by which a client that has lost its way asks C2 to be brought up to date; it is
    /// published like an answer.
    ///
    /// # Errors
    /// [`Error::ClockUnknown`], errors of the storage.
    pub fn hello(&self, now: impl Into<Option<Timestamp>>) -> Result<ProtectedAnswer> {
        self.protect_answer(now.into(), None, Ok(()))
    }

    fn protect_answer(
        &self,
        now: Option<Timestamp>,
        command: Option<[u8; SIV_LEN]>,
        status: Result<()>,
    ) -> Result<ProtectedAnswer> {
        let answer = Answer { command, status, digest: self.digest()? };
        let now = self.time(now)?;
        match self.identity.keys() {
            Keys::Symmetric(key) => protect::protect_answer(key, now, &answer),
            #[cfg(feature = "pubkey")]
            Keys::KeyPair { shared, .. } => protect::protect_answer(shared, now, &answer),
        }
    }

    /// The digest of the keys that the client holds (PROTOCOL section 11).
    ///
    /// # Errors
    /// Errors of the storage.
    pub fn digest(&self) -> Result<StateDigest> {
        let mut digest = crate::crypto::hash::Sha3::default();
        for kind in [Kind::Topic, Kind::Peer] {
            let mut after = None;
            while let Some((name, key)) = self.next_entry(kind, after.as_ref())? {
                digest.update(&[kind as u8]);
                digest.update(&name);
                match kind {
                    Kind::Topic => digest.update(&sha3_256(&[&*key])),
                    Kind::Peer => digest.update(&*key),
                }
                after = Some(name);
            }
        }
        Ok(StateDigest(digest.finish()))
    }

    /// The time, or that of the last command.
    fn time(&self, now: Option<Timestamp>) -> Result<Timestamp> {
        let known = self.mark.time() != Timestamp::default();
        now.or(known.then(|| self.mark.time())).ok_or(Error::ClockUnknown)
    }

    /// Whether a timestamp is near the clock; without one, not much before the last command.
    fn check_time(&self, timestamp: Timestamp, now: Option<Timestamp>) -> Result<()> {
        let window = &self.settings.window;
        window.check(
            timestamp,
            now.unwrap_or(self.mark.time().max(timestamp.before(window.future.into()))),
        )
    }

    /// Whether a key that was replaced still opens messages. A time of replacement ahead of the
    /// clock is tolerated as a timestamp is.
    fn in_transition(&self, replaced_at: Timestamp, now: Option<Timestamp>) -> bool {
        let window = Window { past: self.settings.transition, future: self.settings.window.future };
        now.is_none_or(|now| window.check(replaced_at, now).is_ok())
    }

    /// Checks in the order of PROTOCOL section 3, and decrypts.
    fn open_message<'p>(
        &self,
        now: Option<Timestamp>,
        entry: &Entry,
        protected: &'p [u8],
        out: &mut [u8],
    ) -> Result<(Sealed<'p>, Option<Signer>)> {
        let (sealed, signer) = match self.mode() {
            Mode::Symmetric => {
                let sealed = Sealed::parse(protected)?;
                self.check_time(sealed.time(), now)?;
                (sealed, None)
            }
            Mode::PublicKey => self.check_signed(now, protected)?,
        };
        let opened = match (protect::open(&entry.key, &sealed, out), &entry.previous) {
            (Err(Error::InvalidTag), Some(previous))
                if self.in_transition(previous.replaced_at, now) =>
            {
                protect::open(&previous.key, &sealed, out)
            }
            (opened, _) => opened,
        };
        opened.map(|_| (sealed, signer))
    }

    #[cfg(feature = "pubkey")]
    fn check_signed<'p>(
        &self,
        now: Option<Timestamp>,
        protected: &'p [u8],
    ) -> Result<(Sealed<'p>, Option<Signer>)> {
        let message = Signed::parse(protected)?;
        self.check_time(message.sealed.time(), now)?;
        let verified =
            self.with_entry(Kind::Peer, message.signer.as_bytes(), |peer| match peer {
                Some(peer) => crate::crypto::sign::PublicKey::from_stored(&peer.key)?
                    .verify(message.signed, message.signature)
                    .map(|()| true),
                None if self.settings.accept_unknown_signers => Ok(false),
                None => Err(Error::SignerUnknown),
            })??;
        Ok((message.sealed, Some(Signer { id: message.signer, verified })))
    }

    #[cfg(not(feature = "pubkey"))]
    fn check_signed<'p>(
        &self,
        _now: Option<Timestamp>,
        _protected: &'p [u8],
    ) -> Result<(Sealed<'p>, Option<Signer>)> {
        Err(Error::Internal)
    }

    /// Looks a key up: in the table, and if that does not hold all, in the storage.
    fn with_entry<R>(
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
    fn next_entry(&self, kind: Kind, after: Option<&[u8; ID_LEN]>) -> Result<Option<NamedKey>> {
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
    fn overflows(&self, kind: Kind) -> bool {
        self.memory.count(kind) < *self.live.of(kind)
    }

    fn each_stored(&self, kind: Kind, mut each: impl FnMut(&[u8; ID_LEN], Entry)) -> Result<()> {
        for number in 1..=self.slots {
            let slot = self.read_slot(number)?.ok_or(Error::StateCorrupt)?;
            if slot.kind == Some(kind) && slot.generation == *self.generations.of(kind) {
                each(&slot.name, slot.entry);
            }
        }
        Ok(())
    }

    fn read_slot(&self, slot: u32) -> Result<Option<records::Slot>> {
        read_record(&self.storage, slot, |bytes| records::decode_slot(slot, bytes))
    }
}

impl<S, M> core::fmt::Debug for Client<S, M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Client")
            .field("identity", &self.identity)
            .field("topics", &self.live.topics)
            .field("peers", &self.live.peers)
            .finish_non_exhaustive()
    }
}

/// A name and the key of that name.
type NamedKey = ([u8; ID_LEN], zeroize::Zeroizing<[u8; KEY_LEN]>);

fn read_record<S: Storage, R>(
    storage: &S,
    record: u32,
    decode: impl FnOnce(&[u8]) -> Result<R>,
) -> Result<Option<R>> {
    let mut buffer = zeroize::Zeroizing::new([0; RECORD_MAX]);
    let Some(length) = storage.read(record, &mut *buffer)? else { return Ok(None) };
    decode(buffer.get(..length).ok_or(Error::Storage)?).map(Some)
}

/// Erases the slots from the last to the first, so that an interruption leaves no gap.
fn erase_slots<S: Storage>(storage: &mut S) -> Result<()> {
    let mut slots = 0;
    while read_record(storage, slots + 1, |_| Ok(()))?.is_some() {
        slots += 1;
    }
    (1..=slots).rev().try_for_each(|slot| storage.erase(slot))
}
