// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Ids, topic hashes, modes, opcodes.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::args::{Data, exactly};
use crate::errors::OrRaise;

macro_rules! sixteen {
    ($(#[$doc:meta])* $name:ident, $from:ident, $(#[$from_doc:meta])* $other:ident($text:ident) { $($more:tt)* }) => {
        $(#[$doc])*
        #[pyclass(module = "e4", frozen, eq, ord, hash)]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub e4::$name);

        #[pymethods]
        impl $name {
            #[new]
            fn new(data: Data<'_>) -> PyResult<Self> {
                Ok(Self(e4::$name::from_bytes(exactly(stringify!($name), &data)?)))
            }

            $(#[$from_doc])*
            #[staticmethod]
            fn $from(py: Python<'_>, $text: &str) -> PyResult<Self> {
                e4::$name::$from($text).or_raise(py).map(Self)
            }

            /// From 32 hexadecimal digits of either case.
            ///
            /// Raises ValueError for anything else.
            #[staticmethod]
            fn from_hex(digits: &str) -> PyResult<Self> {
                e4::$name::from_hex(digits)
                    .map(Self)
                    .ok_or_else(|| PyValueError::new_err("32 hexadecimal digits are required"))
            }

            /// The 32 lower-case hexadecimal digits.
            fn hex(&self) -> String {
                self.0.to_string()
            }

            fn __bytes__<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
                PyBytes::new(py, self.0.as_bytes())
            }

            fn __str__(&self) -> String {
                self.0.to_string()
            }

            fn __repr__(&self) -> String {
                format!(concat!(stringify!($name), ".from_hex('{}')"), self.0)
            }

            $($more)*
        }

        /// The thing itself, or the text that it is made from.
        #[derive(FromPyObject)]
        pub enum $other<'py> {
            /// Made already.
            #[pyo3(annotation = "id")]
            Made(PyRef<'py, $name>),
            /// A name or a topic.
            #[pyo3(annotation = "str")]
            Text(String),
        }

        impl $other<'_> {
            /// The 16 bytes.
            pub fn get(&self, py: Python<'_>) -> PyResult<e4::$name> {
                match self {
                    Self::Made(made) => Ok(made.0),
                    Self::Text(text) => e4::$name::$from(text).or_raise(py),
                }
            }
        }
    };
}

sixteen! {
    /// The id of a client: 16 bytes (PROTOCOL section 1).
    ///
    /// >>> import e4
    /// >>> e4.ClientId.from_name("pump-1").hex()
    /// '332cd2d94155490d07519f9c57831365'
    ClientId, from_name,
    /// The first 16 bytes of SHA3-256 of a name of 1 to 255 bytes of UTF-8.
    ///
    /// Raises InvalidNameError.
    IdOrName(name) {
        /// A random id from the operating system.
        ///
        /// Raises RandomnessError.
        #[staticmethod]
        fn random(py: Python<'_>) -> PyResult<Self> {
            e4::ClientId::random().or_raise(py).map(Self)
        }
    }
}

sixteen! {
    /// The hash of a topic: 16 bytes (PROTOCOL section 1).
    ///
    /// >>> import e4
    /// >>> bytes(e4.TopicHash.from_topic("plant/pressure")).hex()
    /// '3b8821b0d38371bf5b15a6eb2501c399'
    TopicHash, from_topic,
    /// The first 16 bytes of SHA3-256 of a topic of 1 to 65,535 bytes of UTF-8.
    ///
    /// Raises InvalidTopicError.
    HashOrTopic(topic) {}
}

/// The two ways to protect (PROTOCOL sections 2 and 3).
#[pyclass(module = "e4", frozen, eq, eq_int, hash)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Symmetric key: topic keys alone.
    #[pyo3(name = "SYMMETRIC")]
    Symmetric = 1,
    /// Public key: topic keys and signatures.
    #[pyo3(name = "PUBLIC_KEY")]
    PublicKey = 2,
}

impl From<e4::Mode> for Mode {
    fn from(mode: e4::Mode) -> Self {
        match mode {
            e4::Mode::Symmetric => Self::Symmetric,
            e4::Mode::PublicKey => Self::PublicKey,
        }
    }
}

/// The first byte of a command (PROTOCOL section 4).
#[pyclass(module = "e4", frozen, eq, eq_int, hash)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Opcode {
    #[pyo3(name = "REMOVE_TOPIC")]
    RemoveTopic = 0,
    #[pyo3(name = "RESET_TOPICS")]
    ResetTopics = 1,
    #[pyo3(name = "SET_ID_KEY")]
    SetIdKey = 2,
    #[pyo3(name = "SET_TOPIC_KEY")]
    SetTopicKey = 3,
    #[pyo3(name = "REMOVE_PUB_KEY")]
    RemovePubKey = 4,
    #[pyo3(name = "RESET_PUB_KEYS")]
    ResetPubKeys = 5,
    #[pyo3(name = "SET_PUB_KEY")]
    SetPubKey = 6,
    #[pyo3(name = "SET_C2_KEY")]
    SetC2Key = 7,
}

impl From<e4::Opcode> for Opcode {
    fn from(opcode: e4::Opcode) -> Self {
        match opcode {
            e4::Opcode::RemoveTopic => Self::RemoveTopic,
            e4::Opcode::ResetTopics => Self::ResetTopics,
            e4::Opcode::SetIdKey => Self::SetIdKey,
            e4::Opcode::SetTopicKey => Self::SetTopicKey,
            e4::Opcode::RemovePubKey => Self::RemovePubKey,
            e4::Opcode::ResetPubKeys => Self::ResetPubKeys,
            e4::Opcode::SetPubKey => Self::SetPubKey,
            e4::Opcode::SetC2Key => Self::SetC2Key,
        }
    }
}

/// Checks a topic before a key is made for it: one that clients can publish to, without ``+``,
/// ``#``, NUL or a leading ``$``, and not ``e4`` or below ``e4/`` (PROTOCOL section 1).
///
/// Raises InvalidTopicError.
#[pyfunction]
pub fn check_topic_for_key(py: Python<'_>, topic: &str) -> PyResult<()> {
    e4::check_topic_for_key(topic).or_raise(py)
}
