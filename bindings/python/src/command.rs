// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Commands, their protection, and the answers to them.

use e4::Timestamp;
use e4::protect::{ProtectedCommand, protect_command};
use e4::wire::message::Sealed;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyType};

use crate::args::{Data, Now};
use crate::errors::{OrRaise, class_of};
use crate::ids::{HashOrTopic, IdOrName, Opcode};
use crate::keys::{
    C2PublicKey, CommandKey, IdKey, PublicKey, SharedKey, SigningKey, TopicKey, no_pickle,
};

/// A command of C2 (PROTOCOL section 4). Printing it gives its name alone.
///
/// >>> import e4
/// >>> command = e4.Command.set_topic_key("plant/pressure", e4.TopicKey(b"t" * 32))
/// >>> command
/// <e4.Command SetTopicKey>
/// >>> len(command.protect_for(e4.IdKey(b"k" * 32)))
/// 73
#[pyclass(module = "e4", frozen)]
pub struct Command(e4::Command);

/// A key that a batch holds while the GIL is released.
enum HeldKey {
    Id(Py<IdKey>),
    Shared(Py<SharedKey>),
}

impl From<CommandKey<'_>> for HeldKey {
    fn from(key: CommandKey<'_>) -> Self {
        match key {
            CommandKey::Id(key) => Self::Id(key.into()),
            CommandKey::Shared(key) => Self::Shared(key.into()),
        }
    }
}

impl HeldKey {
    fn protect(&self, now: Timestamp, command: &e4::Command) -> e4::Result<ProtectedCommand> {
        match self {
            Self::Id(key) => protect_command(&key.get().0, now, command),
            Self::Shared(key) => protect_command(&key.get().0, now, command),
        }
    }
}

#[pymethods]
impl Command {
    /// Forget the keys of one topic, the replaced one as well.
    #[staticmethod]
    fn remove_topic(py: Python<'_>, topic: HashOrTopic<'_>) -> PyResult<Self> {
        Ok(Self(e4::Command::RemoveTopic { topic: topic.get(py)? }))
    }

    /// Forget the keys of all topics.
    #[staticmethod]
    fn reset_topics() -> Self {
        Self(e4::Command::ResetTopics)
    }

    /// Replace the id key of an SK client.
    #[staticmethod]
    fn set_id_key(py: Python<'_>, key: &IdKey) -> PyResult<Self> {
        let key = e4::IdKey::from_slice(key.0.expose()).or_raise(py)?;
        Ok(Self(e4::Command::SetIdKey { key }))
    }

    /// Replace the key pair of a PK client (opcode SET_ID_KEY).
    #[staticmethod]
    fn set_signing_key(py: Python<'_>, key: &SigningKey) -> PyResult<Self> {
        let key = e4::SigningKey::from_slice(key.0.expose().as_slice()).or_raise(py)?;
        Ok(Self(e4::Command::SetSigningKey { key }))
    }

    /// Add or replace the key of a topic; the replaced one opens messages for another hour. Use
    /// ``check_topic_for_key`` on topics that people type.
    #[staticmethod]
    fn set_topic_key(py: Python<'_>, topic: HashOrTopic<'_>, key: &TopicKey) -> PyResult<Self> {
        let key = e4::TopicKey::from_slice(key.0.expose()).or_raise(py)?;
        Ok(Self(e4::Command::SetTopicKey { topic: topic.get(py)?, key }))
    }

    /// Forget the public key of a client (PK).
    #[staticmethod]
    fn remove_pub_key(py: Python<'_>, client: IdOrName<'_>) -> PyResult<Self> {
        Ok(Self(e4::Command::RemovePubKey { id: client.get(py)? }))
    }

    /// Forget all public keys (PK).
    #[staticmethod]
    fn reset_pub_keys() -> Self {
        Self(e4::Command::ResetPubKeys)
    }

    /// Add or replace the public key of a client (PK).
    #[staticmethod]
    fn set_pub_key(py: Python<'_>, client: IdOrName<'_>, key: &PublicKey) -> PyResult<Self> {
        Ok(Self(e4::Command::SetPubKey { id: client.get(py)?, key: key.0 }))
    }

    /// Replace C2's public key (PK).
    #[staticmethod]
    fn set_c2_key(key: &C2PublicKey) -> Self {
        Self(e4::Command::SetC2Key { key: key.0 })
    }

    /// Reads the plaintext of a command, 1 to 65 bytes.
    ///
    /// Raises InvalidCommandError, InvalidKeyError.
    #[staticmethod]
    fn decode(py: Python<'_>, plaintext: Data<'_>) -> PyResult<Self> {
        e4::Command::decode(&plaintext).or_raise(py).map(Self)
    }

    /// The plaintext: opcode and fields, 1 to 65 bytes; it may hold a key.
    fn encode<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.encode())
    }

    /// The first byte.
    #[getter]
    fn opcode(&self) -> Opcode {
        self.0.opcode().into()
    }

    /// Protects the command for the client that holds the key: 24 bytes more than the plaintext,
    /// to be published on the client's control topic, not retained. Stamp the commands of one
    /// client in non-decreasing order, never ahead of the clock (PROTOCOL sections 10 and 11).
    #[pyo3(signature = (key, *, now=Now::System), text_signature = "($self, key, *, now=...)")]
    fn protect_for<'py>(
        &self,
        py: Python<'py>,
        key: CommandKey<'_>,
        now: Now,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let now = now.required()?;
        let protected = match key {
            CommandKey::Id(key) => protect_command(&key.0, now, &self.0),
            CommandKey::Shared(key) => protect_command(&key.0, now, &self.0),
        };
        Ok(PyBytes::new(py, &protected.or_raise(py)?))
    }

    /// Protects many commands at once, without the GIL: pairs of command and key.
    #[staticmethod]
    #[pyo3(signature = (pairs, *, now=Now::System), text_signature = "(pairs, *, now=...)")]
    fn protect_for_many<'py>(
        py: Python<'py>,
        pairs: &Bound<'py, PyAny>,
        now: Now,
    ) -> PyResult<Bound<'py, PyList>> {
        let now = now.required()?;
        let mut held: Vec<(Py<Self>, HeldKey)> = Vec::new();
        for pair in pairs.try_iter()? {
            let (command, key): (Bound<'_, Self>, Bound<'_, PyAny>) = pair?.extract()?;
            held.push((command.unbind(), key.extract::<CommandKey<'_>>()?.into()));
        }
        let protected: e4::Result<Vec<_>> = py.detach(|| {
            held.iter().map(|(command, key)| key.protect(now, &command.get().0)).collect()
        });
        PyList::new(py, protected.or_raise(py)?.iter().map(|bytes| PyBytes::new(py, bytes)))
    }

    fn __repr__(&self) -> String {
        format!("<e4.Command {:?}>", self.0)
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(no_pickle("e4.Command"))
    }
}

/// What a client says about a command, or a hello (PROTOCOL section 8).
#[pyclass(module = "e4", frozen, get_all)]
pub struct Answer {
    /// The client's clock, Unix seconds. It is for the caller to judge.
    timestamp: u64,
    /// The SIV of the command that is answered, 16 bytes; None in a hello. See ``siv_of``.
    command: Option<Py<PyBytes>>,
    /// 0 if the command was applied, else the number of an error.
    status: i32,
    /// The class of that error, or None.
    error: Option<Py<PyType>>,
    /// The digest of the client's keys after the command, 16 bytes (PROTOCOL section 11).
    digest: Py<PyBytes>,
}

#[pymethods]
impl Answer {
    #[classattr]
    fn __match_args__() -> (&'static str, &'static str, &'static str, &'static str) {
        ("timestamp", "command", "status", "digest")
    }

    fn __repr__(&self) -> String {
        let what = if self.command.is_some() { "answer" } else { "hello" };
        format!("<e4.Answer {what} at {}, status {}>", self.timestamp, self.status)
    }
}

/// Opens an answer under the key that C2 uses for the client after the command.
///
/// Raises MessageTooShortError; InvalidTagError if it is not an answer under this key;
/// StateIncompatibleError for a version of answers that is not known.
#[pyfunction]
pub fn open_answer(py: Python<'_>, key: CommandKey<'_>, protected: Data<'_>) -> PyResult<Answer> {
    let opened = match key {
        CommandKey::Id(key) => e4::protect::open_answer(&key.0, &protected),
        CommandKey::Shared(key) => e4::protect::open_answer(&key.0, &protected),
    };
    let (time, answer) = opened.or_raise(py)?;
    let error = answer.status.err();
    Ok(Answer {
        timestamp: time.as_secs(),
        command: answer.command.map(|siv| PyBytes::new(py, &siv).unbind()),
        status: error.map_or(0, e4::Error::number),
        error: error.and_then(|error| class_of(py, error)).map(Bound::unbind),
        digest: PyBytes::new(py, &answer.digest.0).unbind(),
    })
}

/// The SIV of a protected command, 16 bytes, by which an answer names it.
///
/// Raises MessageTooShortError below 24 bytes.
#[pyfunction]
pub fn siv_of<'py>(py: Python<'py>, protected: Data<'_>) -> PyResult<Bound<'py, PyBytes>> {
    let sealed = Sealed::parse(&protected).or_raise(py)?;
    Ok(PyBytes::new(py, sealed.siv))
}
