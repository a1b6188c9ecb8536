// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What goes into a client, and what it gives back.

use e4::protect::Window;

/// What came in.
#[derive(uniffi::Enum)]
pub enum Unprotected {
    /// A message for the application.
    Message {
        /// The plaintext.
        plaintext: Vec<u8>,
        /// The sender's clock.
        timestamp: u64,
        /// Who signed (PK).
        signer: Option<Signer>,
    },
    /// A command that was applied and stored.
    CommandApplied {
        /// Its first byte.
        opcode: u8,
    },
}

/// One result of a batch.
#[derive(uniffi::Enum)]
pub enum Outcome {
    /// It was taken.
    Taken {
        /// What it was.
        unprotected: Unprotected,
    },
    /// It was refused.
    Refused {
        /// The number of the error.
        number: i32,
        /// What happened.
        text: String,
    },
}

/// Who signed a message.
#[derive(uniffi::Record)]
pub struct Signer {
    /// The id in the message.
    id: Vec<u8>,
    /// Whether the signature was checked.
    verified: bool,
}

/// Bytes on a topic.
#[derive(uniffi::Record)]
pub struct Item {
    /// The topic.
    pub topic: String,
    /// A plaintext, or what was protected.
    pub bytes: Vec<u8>,
}

/// What a client tolerates.
#[derive(Clone, Copy, uniffi::Record)]
pub struct Settings {
    /// How old a message may be, seconds.
    past: u32,
    /// How far ahead of the clock it may be, seconds.
    future: u32,
    /// How long a replaced topic key still opens messages, seconds.
    transition: u32,
    /// Whether a PK client takes messages of unknown signers.
    accept_unknown_signers: bool,
    /// How many messages are remembered.
    pub replay_cache: u32,
}

/// The settings of a client that is not told otherwise.
#[uniffi::export]
pub fn default_settings() -> Settings {
    let core = e4::Settings::default();
    Settings {
        past: core.window.past,
        future: core.window.future,
        transition: core.transition,
        accept_unknown_signers: core.accept_unknown_signers,
        replay_cache: 0,
    }
}

impl From<Settings> for e4::Settings {
    fn from(settings: Settings) -> Self {
        Self {
            window: Window { past: settings.past, future: settings.future },
            transition: settings.transition,
            accept_unknown_signers: settings.accept_unknown_signers,
        }
    }
}

impl From<e4::Unprotected<Vec<u8>>> for Unprotected {
    fn from(unprotected: e4::Unprotected<Vec<u8>>) -> Self {
        match unprotected {
            e4::Unprotected::CommandApplied(opcode) => {
                Self::CommandApplied { opcode: opcode as u8 }
            }
            e4::Unprotected::Message(message) => Self::Message {
                plaintext: message.plaintext,
                timestamp: message.timestamp.as_secs(),
                signer: message
                    .signer
                    .map(|by| Signer { id: by.id.as_bytes().to_vec(), verified: by.verified }),
            },
        }
    }
}
