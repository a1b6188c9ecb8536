// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Protection without state: key, time and bytes in, bytes out. C2 and its scripts use this side
//! of the protocol; the [`Client`](crate::Client) keeps the keys and does the rest.

use core::ops::Deref;

use crate::bytes::Bytes;
use crate::command::{COMMAND_MAX, Command};
use crate::crypto::hash::Sha3;
use crate::crypto::keys::{CommandKey, KEY_LEN, TopicKey};
#[cfg(feature = "pubkey")]
use crate::crypto::sign::{PublicKey, SigningKey};
use crate::crypto::siv::{self, Cipher, Siv};
use crate::error::{Error, Result};
#[cfg(feature = "pubkey")]
use crate::id::ClientId;
use crate::id::{ID_LEN, Timestamp};
use crate::wire::answer::{
    ANSWER_DOMAIN, ANSWER_LEN, ANSWER_PLAIN_LEN, Answer, DIGEST_LEN, StateDigest,
};
#[cfg(feature = "pubkey")]
use crate::wire::message::{PK_OVERHEAD, SIGNATURE_LEN, Signed};
use crate::wire::message::{SIV_LEN, SK_OVERHEAD, Sealed, SealedMut};

/// How far a timestamp may be from the clock, in seconds (PROTOCOL section 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// How old a message may be; 600 by default.
    pub past: u32,
    /// How far ahead of the clock it may be; 600 by default. e4go tolerates 0.
    pub future: u32,
}

impl Default for Window {
    fn default() -> Self {
        Self { past: 600, future: 600 }
    }
}

impl Window {
    /// Checks a timestamp against the clock.
    ///
    /// # Errors
    /// [`Error::TimestampInFuture`], [`Error::TimestampTooOld`].
    #[cfg_attr(not(feature = "std"), inline(never))]
    pub fn check(&self, timestamp: Timestamp, now: Timestamp) -> Result<()> {
        if timestamp.since(now) > u64::from(self.future) {
            return Err(Error::TimestampInFuture);
        }
        if now.since(timestamp) > u64::from(self.past) {
            return Err(Error::TimestampTooOld);
        }
        Ok(())
    }
}

/// A topic key made ready: for many messages (SK mode) under one key, of which each costs less
/// than with [`protect`] and [`unprotect`]. Wiped when dropped.
pub struct TopicCipher(Siv);

impl TopicCipher {
    /// Makes a key ready.
    pub fn new(key: &TopicKey) -> Self {
        Self(Siv::new(key.expose()))
    }

    /// AES-SIV itself under the key.
    pub const fn siv(&self) -> &Siv {
        &self.0
    }

    /// See [`protect`].
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`].
    pub fn protect<'o>(
        &self,
        now: Timestamp,
        plaintext: &[u8],
        out: &'o mut [u8],
    ) -> Result<&'o mut [u8]> {
        seal(Cipher::Ready(&self.0), now, plaintext, out)?;
        start(out, plaintext.len() + SK_OVERHEAD)
    }

    /// See [`unprotect`].
    ///
    /// # Errors
    /// Those of [`unprotect`].
    pub fn unprotect<'o>(
        &self,
        now: Timestamp,
        window: &Window,
        protected: &[u8],
        out: &'o mut [u8],
    ) -> Result<&'o mut [u8]> {
        let sealed = Sealed::parse(protected)?;
        window.check(sealed.time(), now)?;
        open(Cipher::Ready(&self.0), &sealed, out)?;
        start(out, sealed.ciphertext.len())
    }
}

/// Protects a message under a topic key (SK mode): `plaintext.len() + 24` bytes at the start of
/// `out`, which are returned.
///
/// # Errors
/// [`Error::BufferTooSmall`].
pub fn protect<'o>(
    key: &TopicKey,
    now: Timestamp,
    plaintext: &[u8],
    out: &'o mut [u8],
) -> Result<&'o mut [u8]> {
    TopicCipher::new(key).protect(now, plaintext, out)
}

/// Opens a message under a topic key (SK mode) into the start of `out`, which needs
/// `protected.len() - 24` bytes and is wiped on failure.
///
/// # Errors
/// [`Error::MessageTooShort`], [`Error::TimestampInFuture`], [`Error::TimestampTooOld`],
/// [`Error::BufferTooSmall`], [`Error::InvalidTag`].
pub fn unprotect<'o>(
    key: &TopicKey,
    now: Timestamp,
    window: &Window,
    protected: &[u8],
    out: &'o mut [u8],
) -> Result<&'o mut [u8]> {
    TopicCipher::new(key).unprotect(now, window, protected, out)
}

/// Protects and signs a message (PK mode): `plaintext.len() + 104` bytes at the start of `out`,
/// which are returned.
///
/// # Errors
/// [`Error::BufferTooSmall`].
#[cfg(feature = "pubkey")]
pub fn protect_signed<'o>(
    key: &TopicKey,
    signer: ClientId,
    signing: &SigningKey,
    now: Timestamp,
    plaintext: &[u8],
    out: &'o mut [u8],
) -> Result<&'o mut [u8]> {
    seal_signed(Cipher::Once(key.expose()), signer, signing, now, plaintext, out)
}

/// Checks the signature of a message and opens it (PK mode) into the start of `out`, which needs
/// `protected.len() - 104` bytes and is wiped on failure.
///
/// # Errors
/// [`Error::MessageTooShort`], [`Error::TimestampInFuture`], [`Error::TimestampTooOld`],
/// [`Error::SignatureInvalid`], [`Error::BufferTooSmall`], [`Error::InvalidTag`].
#[cfg(feature = "pubkey")]
pub fn unprotect_signed<'o>(
    key: &TopicKey,
    signer: &PublicKey,
    now: Timestamp,
    window: &Window,
    protected: &[u8],
    out: &'o mut [u8],
) -> Result<&'o mut [u8]> {
    let message = Signed::parse(protected)?;
    window.check(message.sealed.time(), now)?;
    signer.verify(message.signed, message.signature)?;
    open(Cipher::Once(key.expose()), &message.sealed, out)?;
    start(out, message.sealed.ciphertext.len())
}

/// Protects a command for the client that holds the key: the id key of an SK client, the shared
/// key of a PK client. Never stamp ahead of the clock (e4go refuses one second), and stamp the
/// commands of one client in non-decreasing order (PROTOCOL sections 10 and 11).
///
/// # Errors
/// [`Error::Internal`] alone.
pub fn protect_command(
    key: &impl CommandKey,
    now: Timestamp,
    command: &Command,
) -> Result<ProtectedCommand> {
    let plaintext = command.encode();
    let mut bytes = Bytes::new();
    let out = bytes.room(plaintext.len() + SK_OVERHEAD);
    seal(Cipher::Once(key.command_key()), now, &plaintext, out)?;
    Ok(ProtectedCommand(bytes))
}

/// A protected command, 25 to 89 bytes, to be published on the control topic, not retained.
#[derive(Clone)]
pub struct ProtectedCommand(Bytes<PROTECTED_COMMAND_MAX>);

/// Length of the longest protected command.
pub const PROTECTED_COMMAND_MAX: usize = COMMAND_MAX + SK_OVERHEAD;

impl ProtectedCommand {
    /// The SIV, by which an answer names the command.
    pub fn siv(&self) -> [u8; SIV_LEN] {
        Sealed::parse(self).map_or([0; SIV_LEN], |sealed| *sealed.siv)
    }
}

impl Deref for ProtectedCommand {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for ProtectedCommand {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// A protected answer, to be published on the answer topic with QoS 1, not retained.
pub type ProtectedAnswer = [u8; ANSWER_LEN];

/// Protects an answer under the key that C2 uses for the client after the command.
///
/// # Errors
/// [`Error::Internal`] alone.
pub fn protect_answer(
    key: &impl CommandKey,
    now: Timestamp,
    answer: &Answer,
) -> Result<ProtectedAnswer> {
    let mut out = [0; ANSWER_LEN];
    seal_answer(key.command_key(), now, &answer.encode(), &mut out)?;
    Ok(out)
}

/// [`protect_answer`] of its plaintext, in its place.
pub(crate) fn seal_answer(
    key: &[u8; KEY_LEN],
    now: Timestamp,
    plain: &[u8; ANSWER_PLAIN_LEN],
    out: &mut ProtectedAnswer,
) -> Result<()> {
    let parts = SealedMut::split(out, ANSWER_PLAIN_LEN)?;
    *parts.timestamp = now.to_bytes();
    siv::seal(key, &[ANSWER_DOMAIN, &*parts.timestamp], parts.siv, plain, parts.ciphertext)
}

/// Opens an answer: C2's side. The timestamp is for the caller to judge.
///
/// # Errors
/// [`Error::MessageTooShort`]; [`Error::InvalidTag`] if it is not an answer under this key, a
/// command among others; [`Error::StateIncompatible`] for a version of answers that is not known.
pub fn open_answer(key: &impl CommandKey, protected: &[u8]) -> Result<(Timestamp, Answer)> {
    let sealed = Sealed::parse(protected)?;
    let mut plain = [0; ANSWER_PLAIN_LEN];
    let plain = plain.get_mut(..sealed.ciphertext.len()).ok_or(Error::InvalidTag)?;
    let associated = [ANSWER_DOMAIN, sealed.timestamp];
    siv::open(key.command_key(), &associated, sealed.siv, sealed.ciphertext, plain)?;
    Ok((sealed.time(), Answer::decode(plain)?))
}

/// The digest of what a client holds (PROTOCOL section 11), in parts: topic keys in ascending order
/// of their hashes, then public keys in ascending order of their ids. Keys that are kept for the
/// transition alone do not count.
#[derive(Default)]
pub struct StateDigester(Sha3);

impl StateDigester {
    /// The key of a topic, by its fingerprint: SHA3-256 of the key.
    pub fn topic(&mut self, topic: &[u8; ID_LEN], fingerprint: &[u8; KEY_LEN]) {
        self.part(&[1]);
        self.part(topic);
        self.part(fingerprint);
    }

    /// The public key of a client.
    pub fn peer(&mut self, id: &[u8; ID_LEN], key: &[u8; KEY_LEN]) {
        self.part(&[2]);
        self.part(id);
        self.part(key);
    }

    /// The next bytes of an entry: its label, then the fingerprint or the key.
    pub(crate) fn part(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest.
    pub fn finish(mut self) -> StateDigest {
        let mut digest = [0; DIGEST_LEN];
        self.end(&mut digest);
        StateDigest(digest)
    }

    /// [`StateDigester::finish`], once: a move would be a copy on the stack.
    pub(crate) fn end(&mut self, digest: &mut [u8; DIGEST_LEN]) {
        self.0.end(digest);
    }
}

/// What stands at the start of an output.
fn start(out: &mut [u8], len: usize) -> Result<&mut [u8]> {
    out.get_mut(..len).ok_or(Error::Internal)
}

/// [`protect`] with a key made ready or one that is used once.
#[cfg_attr(not(feature = "std"), inline(always))]
pub(crate) fn seal(
    cipher: Cipher<'_>,
    now: Timestamp,
    plaintext: &[u8],
    out: &mut [u8],
) -> Result<()> {
    let parts = SealedMut::split(out, plaintext.len())?;
    *parts.timestamp = now.to_bytes();
    cipher.seal(&[&*parts.timestamp], parts.siv, plaintext, parts.ciphertext)
}

#[cfg(feature = "pubkey")]
pub(crate) fn seal_signed<'o>(
    cipher: Cipher<'_>,
    signer: ClientId,
    signing: &SigningKey,
    now: Timestamp,
    plaintext: &[u8],
    out: &'o mut [u8],
) -> Result<&'o mut [u8]> {
    seal_unsigned(cipher, signer, now, plaintext, out)?;
    let out = start(out, plaintext.len() + PK_OVERHEAD)?;
    sign(signing, out)?;
    Ok(out)
}

/// What [`sign`] completes.
#[cfg(feature = "pubkey")]
pub(crate) fn seal_unsigned(
    cipher: Cipher<'_>,
    signer: ClientId,
    now: Timestamp,
    plaintext: &[u8],
    out: &mut [u8],
) -> Result<()> {
    let out = out.get_mut(..plaintext.len() + PK_OVERHEAD).ok_or(Error::BufferTooSmall)?;
    let (signed, _) = out.split_last_chunk_mut::<SIGNATURE_LEN>().ok_or(Error::BufferTooSmall)?;
    let (time, rest) = signed.split_first_chunk_mut().ok_or(Error::BufferTooSmall)?;
    let (id, rest) = rest.split_first_chunk_mut().ok_or(Error::BufferTooSmall)?;
    let (tag, ciphertext) = rest.split_first_chunk_mut().ok_or(Error::BufferTooSmall)?;
    *time = now.to_bytes();
    *id = *signer.as_bytes();
    cipher.seal(&[&*time], tag, plaintext, ciphertext)
}

/// Signs a message, all but its last 64 bytes, into these.
#[cfg(feature = "pubkey")]
pub(crate) fn sign(signing: &SigningKey, message: &mut [u8]) -> Result<()> {
    let (signed, signature) =
        message.split_last_chunk_mut::<SIGNATURE_LEN>().ok_or(Error::BufferTooSmall)?;
    *signature = signing.sign(signed);
    Ok(())
}

/// [`unprotect`] with a key made ready or one that is used once, of a timestamp that was checked.
#[cfg_attr(not(feature = "std"), inline(never))]
pub(crate) fn open(cipher: Cipher<'_>, sealed: &Sealed<'_>, out: &mut [u8]) -> Result<()> {
    let plain = out.get_mut(..sealed.ciphertext.len()).ok_or(Error::BufferTooSmall)?;
    cipher.open(&[sealed.timestamp], sealed.siv, sealed.ciphertext, plain)
}
