// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Messages for and from a topic, for back ends that speak to C2 instead of being a client.

use e4::protect::{Window, protect, unprotect, unprotect_signed};
use e4::wire::message::Signed;
use e4::{Mode, Timestamp};

use super::Service;
use crate::domain::{Error, Result};
use crate::store::{KeyOfClient, Staged};

/// How long the replaced key of a topic still opens messages, in milliseconds (PROTOCOL section 7).
const TRANSITION: i64 = 3_600_000;

impl Service {
    /// Protects a message under the key of a topic, in SK mode. In PK mode a message is signed by a
    /// client, and C2 is none. In the first stage of a rotation that is the key before, which all
    /// clients open.
    ///
    /// # Errors
    /// [`Error::WrongMode`] in PK mode; [`Error::NotFound`], [`Error::Store`].
    pub fn protect(&self, topic: &str, message: &[u8]) -> Result<Vec<u8>> {
        if self.mode() == Mode::PublicKey {
            return Err(Error::WrongMode { operation: "protect", needs: Mode::Symmetric });
        }
        super::check_topic(topic)?;
        let now = self.timestamp();
        let (keys, first) = self.store.read(|tx| {
            let topic = tx.topic(topic)?;
            let stage = tx.stage(topic.row)?.map(|at| at.stage);
            Ok((tx.topic_keys(&topic)?, stage == Some(Staged::RECEIVERS)))
        })?;
        let key = if first { keys.last() } else { keys.first() };
        let (key, _) = key.ok_or_else(|| Error::Store("a topic has no key".into()))?;
        let mut out = vec![0; message.len() + Mode::Symmetric.overhead()];
        protect(key, now, message, &mut out).map_err(Error::Message)?;
        Ok(out)
    }

    /// Opens a message of a topic, in the format of the mode; in PK mode the signer has to be a
    /// client. The key before the present one is tried for an hour after its replacement.
    ///
    /// # Errors
    /// [`Error::Message`] if it does not authenticate, or its time or signer is wrong;
    /// [`Error::NotFound`], [`Error::Store`].
    pub fn unprotect(&self, topic: &str, protected: &[u8]) -> Result<Vec<u8>> {
        super::check_topic(topic)?;
        let now = self.clock.now();
        let (keys, signer) = self.store.read(|tx| {
            let topic = tx.topic(topic)?;
            let signer = match tx.mode() {
                Mode::Symmetric => None,
                Mode::PublicKey => {
                    let signer = Signed::parse(protected).map_err(Error::Message)?.signer;
                    let client =
                        tx.client_by_id(signer)?.ok_or(Error::Message(e4::Error::SignerUnknown))?;
                    Some(tx.client_keys(client.row, client.key_confirmed)?)
                }
            };
            Ok((tx.topic_keys(&topic)?, signer))
        })?;
        let window = Window::default();
        let mut out = vec![0; protected.len()];
        let mut last = e4::Error::InvalidTag;
        // A key was replaced when the one after it was made.
        let mut replaced: Option<i64> = None;
        for (key, made_at) in &keys {
            if replaced.is_some_and(|at| now > at.saturating_add(TRANSITION)) {
                break;
            }
            replaced = Some(*made_at);
            let opened = match &signer {
                None => unprotect(key, self.timestamp(), &window, protected, &mut out)
                    .map(|plain| plain.len()),
                Some(signers) => signers
                    .iter()
                    .filter_map(|signer| match &signer.key {
                        KeyOfClient::Public(public, _) => Some(public),
                        KeyOfClient::Id(_) => None,
                    })
                    .map(|public| {
                        unprotect_signed(
                            key,
                            public,
                            self.timestamp(),
                            &window,
                            protected,
                            &mut out,
                        )
                        .map(|plain| plain.len())
                    })
                    .reduce(|one, other| one.or(other))
                    .unwrap_or(Err(e4::Error::SignerUnknown)),
            };
            match opened {
                Ok(length) => {
                    out.truncate(length);
                    return Ok(out);
                }
                Err(error) => last = error,
            }
        }
        Err(Error::Message(last))
    }

    fn timestamp(&self) -> Timestamp {
        let seconds = self.clock.now().div_euclid(1000);
        Timestamp::from_secs(u64::try_from(seconds).unwrap_or_default())
    }
}
