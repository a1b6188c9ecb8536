// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a client gives back, and what it tolerates.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::ids::{ClientId, Opcode};

/// A message that authenticated.
///
/// ``plaintext`` may be empty. ``timestamp`` is the sender's clock in Unix seconds. ``signer`` is
/// None in SK mode.
#[pyclass(module = "e4", frozen, get_all)]
pub struct Message {
    /// The plaintext.
    pub plaintext: Py<PyBytes>,
    /// The sender's clock, Unix seconds.
    pub timestamp: u64,
    /// Who signed (PK).
    pub signer: Option<Py<Signer>>,
}

#[pymethods]
impl Message {
    #[classattr]
    fn __match_args__() -> (&'static str, &'static str, &'static str) {
        ("plaintext", "timestamp", "signer")
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let length = self.plaintext.as_bytes(py).len();
        format!("<e4.Message of {length} bytes at {}>", self.timestamp)
    }
}

/// Who signed a message. ``verified`` is False only for a signer whose key is not held, where
/// ``accept_unknown_signers`` is on.
#[pyclass(module = "e4", frozen, get_all, eq, hash)]
#[derive(PartialEq, Hash)]
pub struct Signer {
    /// The id in the message.
    pub id: ClientId,
    /// Whether the signature was checked.
    pub verified: bool,
}

#[pymethods]
impl Signer {
    #[classattr]
    fn __match_args__() -> (&'static str, &'static str) {
        ("id", "verified")
    }

    fn __repr__(&self) -> String {
        let verified = if self.verified { "verified" } else { "unknown" };
        format!("<e4.Signer {} {verified}>", self.id.0)
    }
}

/// A command of C2 was applied and stored; ``Client.answer`` has the answer for C2.
#[pyclass(module = "e4", frozen, get_all, eq, hash)]
#[derive(PartialEq, Hash)]
pub struct CommandApplied {
    /// Which one.
    pub opcode: Opcode,
    /// Its name: ``SetTopicKey``.
    pub name: String,
}

#[pymethods]
impl CommandApplied {
    #[classattr]
    fn __match_args__() -> (&'static str, &'static str) {
        ("opcode", "name")
    }

    fn __repr__(&self) -> String {
        format!("<e4.CommandApplied {}>", self.name)
    }
}

/// What a client tolerates. Not stored: give it at every start.
///
/// ``past`` and ``future`` are the seconds that a timestamp may be away from the clock, ``transition``
/// the seconds that a replaced topic key still opens messages. ``replay_cache`` is how many messages
/// are remembered and refused a second time; 0 is off (PROTOCOL section 7).
///
/// >>> import e4
/// >>> e4.Settings(future=0)
/// Settings(past=600, future=0, transition=3600, accept_unknown_signers=False, replay_cache=0)
#[pyclass(module = "e4", frozen, get_all, eq, hash, from_py_object)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Settings {
    /// How old a message may be, seconds.
    pub past: u32,
    /// How far ahead of the clock it may be, seconds.
    pub future: u32,
    /// How long a replaced topic key still opens messages, seconds.
    pub transition: u32,
    /// Whether a PK client takes messages of signers whose public key it does not hold.
    pub accept_unknown_signers: bool,
    /// How many messages are remembered.
    pub replay_cache: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            past: 600,
            future: 600,
            transition: 3600,
            accept_unknown_signers: false,
            replay_cache: 0,
        }
    }
}

impl From<Settings> for e4::Settings {
    fn from(settings: Settings) -> Self {
        Self {
            window: e4::protect::Window { past: settings.past, future: settings.future },
            transition: settings.transition,
            accept_unknown_signers: settings.accept_unknown_signers,
        }
    }
}

#[pymethods]
impl Settings {
    #[new]
    #[pyo3(signature = (*, past=600, future=600, transition=3600, accept_unknown_signers=false, replay_cache=0))]
    fn new(
        past: u32,
        future: u32,
        transition: u32,
        accept_unknown_signers: bool,
        replay_cache: usize,
    ) -> Self {
        Self { past, future, transition, accept_unknown_signers, replay_cache }
    }

    fn __repr__(&self) -> String {
        let yes = if self.accept_unknown_signers { "True" } else { "False" };
        format!(
            "Settings(past={}, future={}, transition={}, accept_unknown_signers={yes}, replay_cache={})",
            self.past, self.future, self.transition, self.replay_cache
        )
    }
}

impl From<e4::Opcode> for CommandApplied {
    fn from(opcode: e4::Opcode) -> Self {
        Self { opcode: opcode.into(), name: opcode.to_string() }
    }
}
