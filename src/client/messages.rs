// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Messages out and in (PROTOCOL sections 2, 3 and 7).

use super::Client;
#[cfg(feature = "pubkey")]
use super::identity::Keys;
use super::memory::Memory;
use super::slot::{Entry, Kind, Stamp};
use super::storage::Storage;
use crate::bytes::wipe;
use crate::command::Opcode;
#[cfg(feature = "pubkey")]
use crate::crypto::sign::PublicKey;
use crate::crypto::siv::Cipher;
use crate::error::{Error, Result};
use crate::id::{ClientId, Mode, Timestamp, check_topic};
use crate::protect::{self, Window};
use crate::wire::message::Sealed;
#[cfg(feature = "pubkey")]
use crate::wire::message::Signed;
use crate::wire::topic::{self, CONTROL_TOPIC_LEN};

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

impl<S: Storage, M: Memory> Client<S, M> {
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
        let length = self.protect_into(now.into(), topic, message, out)?;
        out.get_mut(..length).ok_or(Error::Internal)
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
        let now = now.into();
        let mut entry = Entry::NONE;
        self.set_topic(topic, &mut entry)?;
        let is_command = entry.kind().is_none();
        if is_command {
            self.last_status = None;
        } else {
            self.find(&mut entry)?;
        }
        #[cfg(feature = "pubkey")]
        let mut signer = None;
        #[cfg(not(feature = "pubkey"))]
        let signer = None;
        let sealed = match self.mode() {
            #[cfg(feature = "pubkey")]
            Mode::PublicKey if !is_command => self.check_signed(now, protected, &mut signer)?,
            _ => {
                let sealed = Sealed::parse(protected)?;
                self.check_time(sealed.time(), now, is_command)?;
                sealed
            }
        };
        let stamp = Stamp::of(&sealed);
        // Before authentication: the key may have been replaced by the very command that is
        // repeated here.
        if is_command && self.head.contains(&stamp) {
            return Err(Error::Replayed);
        }
        self.open_sealed(now, is_command, &entry, &sealed, out)?;
        let plaintext = out.get_mut(..sealed.ciphertext.len()).ok_or(Error::Internal)?;
        if is_command {
            let applied = self.check_and_apply(plaintext, &stamp, now);
            wipe(plaintext);
            return applied.map(Unprotected::CommandApplied);
        }
        let oldest = now.unwrap_or(self.head.time()).before(self.settings.window.past.into());
        if !self.memory.first_time(oldest, &stamp) {
            wipe(plaintext);
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

    /// [`Client::protect`]; the length of what stands at the start of `out` then.
    pub(crate) fn protect_into(
        &self,
        now: Option<Timestamp>,
        topic: &str,
        message: &[u8],
        out: &mut [u8],
    ) -> Result<usize> {
        let mut entry = Entry::NONE;
        self.set_topic(topic, &mut entry)?;
        if entry.kind().is_none() {
            return Err(Error::InvalidTopic);
        }
        let now = self.time(now)?;
        match self.memory.cipher(entry.label()) {
            Some(siv) => self.seal(Cipher::Ready(siv), now, message, out),
            None => {
                self.find(&mut entry)?;
                self.seal(Cipher::Once(entry.key()), now, message, out)
            }
        }?;
        let length = message.len() + self.mode().overhead();
        #[cfg(feature = "pubkey")]
        if let Keys::KeyPair { signing, .. } = &self.keys {
            protect::sign(signing, out.get_mut(..length).ok_or(Error::Internal)?)?;
        }
        Ok(length)
    }

    /// All but the signature.
    fn seal(
        &self,
        cipher: Cipher<'_>,
        now: Timestamp,
        message: &[u8],
        out: &mut [u8],
    ) -> Result<()> {
        match self.mode() {
            Mode::Symmetric => protect::seal(cipher, now, message, out),
            #[cfg(feature = "pubkey")]
            Mode::PublicKey => protect::seal_unsigned(cipher, self.id(), now, message, out),
            #[cfg(not(feature = "pubkey"))]
            Mode::PublicKey => Err(Error::Internal),
        }
    }

    /// Gives an entry the label of a topic; none for the client's own control topic.
    #[cfg_attr(not(feature = "std"), inline(never))]
    fn set_topic(&self, topic: &str, entry: &mut Entry) -> Result<()> {
        check_topic(topic)?;
        if topic.len() == CONTROL_TOPIC_LEN {
            let mut control = [0; CONTROL_TOPIC_LEN];
            topic::put(self.head.id_bytes(), &mut control);
            if topic.as_bytes() == control {
                return Ok(());
            }
        }
        self.memory.hash_topic(topic, entry.name_mut(Kind::Topic));
        Ok(())
    }

    /// Whether a timestamp is near the clock; without one, of a message, not much before the last
    /// command.
    fn check_time(
        &self,
        timestamp: Timestamp,
        now: Option<Timestamp>,
        is_command: bool,
    ) -> Result<()> {
        let known = if is_command { timestamp } else { self.head.time().max(timestamp) };
        self.settings.window.check(timestamp, now.unwrap_or(known))
    }

    /// Whether a key that was replaced still opens messages. A time of replacement ahead of the
    /// clock is tolerated as a timestamp is.
    fn in_transition(&self, replaced_at: Timestamp, now: Option<Timestamp>) -> bool {
        let window = Window { past: self.settings.transition, future: self.settings.window.future };
        now.is_none_or(|now| window.check(replaced_at, now).is_ok())
    }

    /// Decrypts with the key of a topic or, for a while, with the one that it replaced; a command with
    /// the key for that.
    fn open_sealed(
        &self,
        now: Option<Timestamp>,
        is_command: bool,
        entry: &Entry,
        sealed: &Sealed<'_>,
        out: &mut [u8],
    ) -> Result<()> {
        let cipher = match self.memory.cipher(entry.label()) {
            _ if is_command => Cipher::Once(self.keys.command_key()),
            Some(siv) => Cipher::Ready(siv),
            None => Cipher::Once(entry.key()),
        };
        let opened = protect::open(cipher, sealed, out);
        match (opened, entry.previous()) {
            (Err(Error::InvalidTag), Some((previous, at))) if self.in_transition(at, now) => {
                protect::open(Cipher::Once(previous), sealed, out)
            }
            (opened, _) => opened,
        }
    }

    #[cfg(feature = "pubkey")]
    fn check_signed<'p>(
        &self,
        now: Option<Timestamp>,
        protected: &'p [u8],
        signer: &mut Option<Signer>,
    ) -> Result<Sealed<'p>> {
        let message = Signed::parse(protected)?;
        self.check_time(message.sealed.time(), now, false)?;
        let mut key = None;
        self.peer_key(message.signer, &mut key)?;
        if let Some(key) = &key {
            key.verify(message.signed, message.signature)?;
        } else if !self.settings.accept_unknown_signers {
            return Err(Error::SignerUnknown);
        }
        *signer = Some(Signer { id: message.signer, verified: key.is_some() });
        Ok(message.sealed)
    }

    /// Looks up the public key of a client. A frame of its own on microcontrollers: it is not to lie
    /// under the check of a signature.
    #[cfg(feature = "pubkey")]
    #[cfg_attr(not(feature = "std"), inline(never))]
    fn peer_key(&self, id: ClientId, key: &mut Option<PublicKey>) -> Result<()> {
        let mut entry = Entry::NONE;
        entry.set_label(Kind::Peer, id.as_bytes());
        if self.holds(&mut entry)? {
            *key = Some(PublicKey::from_stored(entry.key())?);
        }
        Ok(())
    }
}
