// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a client tells C2 after a command (PROTOCOL sections 8 and 11).

use crate::bytes::{put, put_short};
use crate::error::{Error, Result};
use crate::wire::message::{SIV_LEN, SK_OVERHEAD};

/// Length of the plaintext of an answer: version, SIV, status, digest.
pub const ANSWER_PLAIN_LEN: usize = 1 + SIV_LEN + 1 + DIGEST_LEN;
/// Length of a protected answer.
pub const ANSWER_LEN: usize = SK_OVERHEAD + ANSWER_PLAIN_LEN;
/// Length of a state digest.
pub const DIGEST_LEN: usize = 16;

/// The first associated-data string of an answer; it makes an answer useless as a command.
pub(crate) const ANSWER_DOMAIN: &[u8] = b"e4-ack-v1";

const VERSION: u8 = 1;

/// A digest of the topic keys and public keys that a client holds (PROTOCOL section 11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateDigest(pub [u8; DIGEST_LEN]);

/// An answer to a command, or a "hello".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The SIV of the command that is answered; `None` in a hello.
    pub command: Option<[u8; SIV_LEN]>,
    /// What became of the command. A number that this version does not know reads as
    /// [`Error::Internal`].
    pub status: core::result::Result<(), Error>,
    /// The state of the client after the command.
    pub digest: StateDigest,
}

impl Answer {
    /// The 34 bytes of plaintext.
    pub fn encode(&self) -> [u8; ANSWER_PLAIN_LEN] {
        let mut plain = [0; ANSWER_PLAIN_LEN];
        put(&mut plain, DIGEST, &self.digest.0);
        start(self.command.as_ref(), self.status, &mut plain);
        plain
    }

    /// Reads the plaintext of an answer.
    ///
    /// # Errors
    /// [`Error::StateIncompatible`] for another length or version.
    pub fn decode(plain: &[u8]) -> Result<Self> {
        let (version, rest) = plain.split_first().ok_or(Error::StateIncompatible)?;
        let (siv, rest) = rest.split_first_chunk().ok_or(Error::StateIncompatible)?;
        let (status, rest) = rest.split_first().ok_or(Error::StateIncompatible)?;
        let digest = rest.try_into().map_err(|_| Error::StateIncompatible)?;
        if *version != VERSION {
            return Err(Error::StateIncompatible);
        }
        let status = match i8::from_le_bytes([*status]) {
            0 => Ok(()),
            number => Err(Error::from_number(i32::from(number)).unwrap_or(Error::Internal)),
        };
        let command = (*siv != [0; SIV_LEN]).then_some(*siv);
        Ok(Self { command, status, digest: StateDigest(digest) })
    }
}

/// Where the digest stands in an answer.
const DIGEST: usize = ANSWER_PLAIN_LEN - DIGEST_LEN;

/// What stands before the digest of an answer, over zero bytes.
pub(crate) fn start(command: Option<&[u8; SIV_LEN]>, status: Result<()>, plain: &mut [u8]) {
    let [status, ..] = status.map_or_else(Error::number, |()| 0).to_le_bytes();
    put_short(plain, 0, [VERSION]);
    if let Some(siv) = command {
        put(plain, 1, siv);
    }
    put_short(plain, 1 + SIV_LEN, [status]);
}
