// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The keys as classes: opaque, compared in constant time, not pickled.

use std::sync::OnceLock;

use e4::crypto::{agree, password};
use e4::protect::TopicCipher;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use zeroize::Zeroizing;

use crate::args::{Data, LONG, Now, exactly, wrong_length};
use crate::errors::OrRaise;

/// The TypeError of pickling what holds secrets.
pub fn no_pickle(what: &str) -> PyErr {
    PyTypeError::new_err(format!("cannot pickle '{what}' object: it holds secrets"))
}

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident $(with $ready:ty)?, $len:literal { $($methods:tt)* }) => {
        $(#[$doc])*
        #[pyclass(module = "e4", frozen)]
        pub struct $name(pub e4::$name, $($ready)?);

        impl From<e4::$name> for $name {
            fn from(key: e4::$name) -> Self {
                Self(key, $(<$ready>::default())?)
            }
        }

        #[pymethods]
        impl $name {
            #[new]
            fn new(py: Python<'_>, data: Data<'_>) -> PyResult<Self> {
                if data.len() != $len {
                    return Err(wrong_length(stringify!($name), $len, data.len()));
                }
                e4::$name::from_slice(&data).or_raise(py).map(Self::from)
            }

            /// The secret bytes, for storing them in a safe place.
            fn expose<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
                PyBytes::new(py, self.0.expose().as_slice())
            }

            fn __eq__(&self, other: &Self) -> bool {
                same(self.0.expose().as_slice(), other.0.expose().as_slice())
            }

            fn __repr__(&self) -> &'static str {
                concat!("<e4.", stringify!($name), ">")
            }

            fn __reduce__(&self) -> PyResult<()> {
                Err(no_pickle(concat!("e4.", stringify!($name))))
            }

            $($methods)*
        }
    };
}

/// Equal or not, in a time that tells nothing but the lengths.
fn same(one: &[u8], other: &[u8]) -> bool {
    let differ = |all: u8, (one, other): (&u8, &u8)| std::hint::black_box(all | (one ^ other));
    one.len() == other.len() && one.iter().zip(other).fold(0, differ) == 0
}

macro_rules! public {
    ($(#[$doc:meta])* $name:ident { $($methods:tt)* }) => {
        $(#[$doc])*
        #[pyclass(module = "e4", frozen, eq, hash)]
        #[derive(PartialEq)]
        pub struct $name(pub e4::$name);

        impl std::hash::Hash for $name {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                self.0.as_bytes().hash(state);
            }
        }

        #[pymethods]
        impl $name {
            #[new]
            fn new(py: Python<'_>, data: Data<'_>) -> PyResult<Self> {
                let bytes = exactly::<32>(stringify!($name), &data)?;
                e4::$name::from_slice(&bytes).or_raise(py).map(Self)
            }

            /// The 32 hexadecimal byte pairs.
            fn hex(&self) -> String {
                self.0.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
            }

            fn __bytes__<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
                PyBytes::new(py, self.0.as_bytes())
            }

            fn __repr__(&self) -> String {
                format!(concat!(stringify!($name), "(bytes.fromhex('{}'))"), self.hex())
            }

            $($methods)*
        }
    };
}

/// A topic key as a cipher, made at its first use: one key protects many messages.
#[derive(Default)]
pub struct Ready(OnceLock<Box<TopicCipher>>);

impl TopicKey {
    /// The key as a cipher.
    pub fn cipher(&self) -> &TopicCipher {
        self.1.0.get_or_init(|| Box::new(TopicCipher::new(&self.0)))
    }
}

secret! {
    /// The key that an SK client shares with C2: 32 bytes, never all zero.
    ///
    /// >>> import e4
    /// >>> e4.IdKey(b"k" * 32)
    /// <e4.IdKey>
    IdKey, 32 {
        /// A random key from the operating system.
        #[staticmethod]
        fn random(py: Python<'_>) -> PyResult<Self> {
            e4::IdKey::random().or_raise(py).map(Self::from)
        }

        /// The key of a password of at least 16 bytes of UTF-8, as e4go and libe4 derive it
        /// (PROTOCOL section 5): 64 MiB of memory, some tens of milliseconds, without the GIL.
        ///
        /// Raises InvalidPasswordError, OutOfMemoryError.
        #[staticmethod]
        fn from_password(py: Python<'_>, password: String) -> PyResult<Self> {
            let password = Zeroizing::new(password);
            py.detach(|| password::id_key_from_password(&password)).or_raise(py).map(Self::from)
        }
    }
}

secret! {
    /// The key of a topic, which all clients of the topic hold: 32 bytes, never all zero.
    ///
    /// >>> import e4
    /// >>> key = e4.TopicKey(b"k" * 32)
    /// >>> key.unprotect(key.protect(b"4.2 bar", now=1000), now=1060)
    /// b'4.2 bar'
    TopicKey with Ready, 32 {
        /// A random key from the operating system.
        #[staticmethod]
        fn random(py: Python<'_>) -> PyResult<Self> {
            e4::TopicKey::random().or_raise(py).map(Self::from)
        }

        /// Protects a message without a client (SK mode): 24 bytes more than the message. ``now``
        /// is Unix seconds, the system clock if left out.
        #[pyo3(signature = (message, *, now=Now::System), text_signature = "($self, message, *, now=...)")]
        fn protect<'py>(
            &self,
            py: Python<'py>,
            message: Data<'_>,
            now: Now,
        ) -> PyResult<Bound<'py, PyBytes>> {
            let now = now.required()?;
            let work = |out: &mut [u8]| self.cipher().protect(now, &message, out).map(drop);
            new_bytes(py, message.len() + 24, message.len(), work)
        }

        /// Opens a message without a client (SK mode). ``past`` and ``future`` are the seconds that
        /// its timestamp may be away from ``now``.
        ///
        /// Raises MessageTooShortError, TimestampInFutureError, TimestampTooOldError,
        /// InvalidTagError.
        #[pyo3(
            signature = (protected, *, now=Now::System, past=600, future=600),
            text_signature = "($self, protected, *, now=..., past=600, future=600)"
        )]
        fn unprotect<'py>(
            &self,
            py: Python<'py>,
            protected: Data<'_>,
            now: Now,
            past: u32,
            future: u32,
        ) -> PyResult<Bound<'py, PyBytes>> {
            let now = now.required()?;
            let window = e4::protect::Window { past, future };
            let work = |out: &mut [u8]| {
                self.cipher().unprotect(now, &window, &protected, out).map(drop)
            };
            new_bytes(py, protected.len().saturating_sub(24), protected.len(), work)
        }
    }
}

secret! {
    /// The key that a PK client and C2 agree on (PROTOCOL section 6). Making it costs a scalar
    /// multiplication; keep it where commands are protected often.
    SharedKey, 32 {
        /// The client's side.
        ///
        /// Raises InvalidKeyError if the agreement gives zero.
        #[staticmethod]
        fn for_client(py: Python<'_>, client: &SigningKey, c2: &C2PublicKey) -> PyResult<Self> {
            e4::SharedKey::for_client(&client.0, &c2.0).or_raise(py).map(Self::from)
        }

        /// C2's side.
        ///
        /// Raises InvalidKeyError if the agreement gives zero.
        #[staticmethod]
        fn for_c2(py: Python<'_>, c2: &C2SecretKey, client: &PublicKey) -> PyResult<Self> {
            e4::SharedKey::for_c2(&c2.0, &client.0).or_raise(py).map(Self::from)
        }
    }
}

secret! {
    /// C2's X25519 private key: 32 bytes.
    C2SecretKey, 32 {
        /// A random key from the operating system.
        #[staticmethod]
        fn random(py: Python<'_>) -> PyResult<Self> {
            e4::C2SecretKey::random().or_raise(py).map(Self::from)
        }

        /// The public half.
        fn public(&self) -> C2PublicKey {
            C2PublicKey(self.0.public())
        }
    }
}

secret! {
    /// The Ed25519 key pair of a PK client: 64 bytes, seed (32) and then public key (32).
    SigningKey, 64 {
        /// From the 32-byte seed.
        ///
        /// Raises ValueError for another length, InvalidKeyError for an all-zero seed.
        #[staticmethod]
        fn from_seed(py: Python<'_>, seed: Data<'_>) -> PyResult<Self> {
            let seed = Zeroizing::new(exactly::<32>("a seed", &seed)?);
            e4::SigningKey::from_seed(&*seed).or_raise(py).map(Self::from)
        }

        /// A random key pair from the operating system.
        #[staticmethod]
        fn random(py: Python<'_>) -> PyResult<Self> {
            e4::SigningKey::random().or_raise(py).map(Self::from)
        }

        /// The key pair of a password of at least 16 bytes of UTF-8, as e4go derives it; without
        /// the GIL.
        ///
        /// Raises InvalidPasswordError, OutOfMemoryError.
        #[staticmethod]
        fn from_password(py: Python<'_>, password: String) -> PyResult<Self> {
            let password = Zeroizing::new(password);
            py.detach(|| password::signing_key_from_password(&password)).or_raise(py).map(Self::from)
        }

        /// The public half.
        fn public(&self) -> PublicKey {
            PublicKey(self.0.public())
        }

        /// The X25519 private key of this pair, 32 secret bytes (PROTOCOL section 6).
        fn to_x25519<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
            PyBytes::new(py, agree::to_x25519_secret(&self.0).as_slice())
        }
    }
}

public! {
    /// The Ed25519 public key of a client: 32 bytes, canonical, on the curve, not of small order.
    PublicKey {
        /// The X25519 public key of this key, 32 bytes (PROTOCOL section 6).
        fn to_x25519<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
            PyBytes::new(py, &agree::to_x25519(&self.0))
        }
    }
}

public! {
    /// C2's X25519 public key: 32 bytes, not of small order.
    C2PublicKey {}
}

/// A new `bytes` of a length, which `work` fills; without the GIL if `size` is large.
pub fn new_bytes<'py, F>(
    py: Python<'py>,
    length: usize,
    size: usize,
    work: F,
) -> PyResult<Bound<'py, PyBytes>>
where
    F: FnOnce(&mut [u8]) -> e4::Result<()> + Send,
{
    PyBytes::new_with(py, length, |out| {
        let done = if size > LONG { py.detach(|| work(out)) } else { work(out) };
        done.or_raise(py)
    })
}

/// What commands are protected under.
#[derive(FromPyObject)]
pub enum CommandKey<'py> {
    /// An SK client.
    #[pyo3(annotation = "IdKey")]
    Id(PyRef<'py, IdKey>),
    /// A PK client.
    #[pyo3(annotation = "SharedKey")]
    Shared(PyRef<'py, SharedKey>),
}

/// The client's own key.
#[derive(FromPyObject)]
pub enum OwnKey<'py> {
    /// SK.
    #[pyo3(annotation = "IdKey")]
    Id(PyRef<'py, IdKey>),
    /// PK.
    #[pyo3(annotation = "SigningKey")]
    Signing(PyRef<'py, SigningKey>),
}
