// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The client, behind a lock: many threads may use one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use e4::client::import::Imported;
use e4::client::memory::HeapMemory;
use e4::{Client as Core, Error, Identity, Unprotected};
use pyo3::exceptions::{PyException, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyBytes, PyList};
use zeroize::Zeroizing;

use crate::args::{Data, LONG, Now};
use crate::errors::{OrRaise, raise, raise_from};
use crate::ids::{ClientId, IdOrName, Mode};
use crate::keys::{C2PublicKey, OwnKey, PublicKey, no_pickle};
use crate::message::{CommandApplied, Message, Settings, Signer};
use crate::storage::AnyStorage;

/// A device, or any party that talks on protected topics (PROTOCOL section 7).
///
/// ``storage`` is the path of a state file, an object with ``read(record) -> bytes | None``,
/// ``write(record, data)`` and ``erase(record)``, or None for memory. ``now`` is Unix seconds; left
/// out it is the system clock; None is a device without a clock. Many threads may use one client.
///
/// >>> import e4
/// >>> key = e4.IdKey.random()
/// >>> pump = e4.Client.provision("pump-1", key)
/// >>> command = e4.Command.set_topic_key("plant/pressure", e4.TopicKey.random())
/// >>> pump.unprotect(pump.control_topic, command.protect_for(key))
/// <e4.CommandApplied SetTopicKey>
/// >>> protected = pump.protect("plant/pressure", b"4.2 bar")
/// >>> match pump.unprotect("plant/pressure", protected):
/// ...     case e4.Message(plaintext):
/// ...         print(plaintext)
/// b'4.2 bar'
#[pyclass(module = "e4", frozen)]
pub struct Client {
    inner: Mutex<Option<Inner>>,
    /// The thread that holds the lock, 0 for none: a storage that uses its own client is refused
    /// instead of waiting for itself.
    owner: AtomicUsize,
}

struct Inner {
    core: Core<AnyStorage>,
    storage: AnyStorage,
    settings: Settings,
}

/// A number of this thread, not 0.
fn this_thread() -> usize {
    thread_local!(static HERE: u8 = const { 0 });
    HERE.with(|here| std::ptr::from_ref(here) as usize)
}

struct Locked<'a> {
    guard: MutexGuard<'a, Option<Inner>>,
    owner: &'a AtomicUsize,
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.owner.store(0, Ordering::Relaxed);
    }
}

impl Locked<'_> {
    fn inner(&mut self) -> PyResult<&mut Inner> {
        self.guard.as_mut().ok_or_else(|| PyValueError::new_err("the client is closed"))
    }
}

/// The exception of an error, caused by what the storage raised.
fn failure(py: Python<'_>, storage: &AnyStorage, error: Error) -> PyErr {
    match storage.raised.take() {
        // An interruption is not an error of the storage.
        Some(cause) if !cause.is_instance_of::<PyException>(py) => cause,
        Some(cause) if error == Error::Storage => raise_from(py, error, cause),
        _ => raise(py, error),
    }
}

impl Inner {
    fn check<T>(&self, py: Python<'_>, result: e4::Result<T>) -> PyResult<T> {
        match result {
            Ok(value) => {
                // What was raised while wiping, which is tried again at the next start.
                if self.storage.is_python {
                    drop(self.storage.raised.take());
                }
                Ok(value)
            }
            Err(error) => Err(failure(py, &self.storage, error)),
        }
    }

    /// Runs a call of the core; without the GIL if it is long.
    fn run<T: Send>(
        &mut self,
        py: Python<'_>,
        long: bool,
        work: impl FnOnce(&mut Core<AnyStorage>) -> e4::Result<T> + Send,
    ) -> PyResult<T> {
        let core = &mut self.core;
        let result = if long { py.detach(|| work(core)) } else { work(core) };
        self.check(py, result)
    }

    fn protect<'py>(
        &mut self,
        py: Python<'py>,
        topic: &str,
        message: &[u8],
        now: Now,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let length = message.len() + self.core.mode().overhead();
        PyBytes::new_with(py, length, |out| {
            let work =
                |core: &mut Core<_>| core.protect(now.optional(), topic, message, out).map(drop);
            self.run(py, message.len() > LONG, work)
        })
    }

    fn unprotect<'py>(
        &mut self,
        py: Python<'py>,
        topic: &str,
        protected: &[u8],
        now: Now,
    ) -> PyResult<Bound<'py, PyAny>> {
        let now = now.optional();
        let long = protected.len() > LONG;
        if *topic == *self.core.control_topic() {
            let mut out = Zeroizing::new(vec![0; protected.len()]);
            let work = |core: &mut Core<_>| match core.unprotect(now, topic, protected, &mut out)? {
                Unprotected::CommandApplied(opcode) => Ok(opcode),
                Unprotected::Message(_) => Err(Error::Internal),
            };
            let opcode = self.run(py, long, work)?;
            return Ok(Bound::new(py, CommandApplied::from(opcode))?.into_any());
        }
        let mut about = None;
        let length = protected.len().saturating_sub(self.core.mode().overhead());
        let plaintext = PyBytes::new_with(py, length, |out| {
            let work = |core: &mut Core<_>| match core.unprotect(now, topic, protected, out)? {
                Unprotected::Message(message) => Ok((message.timestamp, message.signer)),
                Unprotected::CommandApplied(_) => Err(Error::Internal),
            };
            about = Some(self.run(py, long, work)?);
            Ok(())
        })?;
        let (time, signer) = about.ok_or_else(|| raise(py, Error::Internal))?;
        let signer = signer.map(|by| Signer { id: ClientId(by.id), verified: by.verified });
        let signer = signer.map(|signer| Py::new(py, signer)).transpose()?;
        let message = Message { plaintext: plaintext.unbind(), timestamp: time.as_secs(), signer };
        Ok(Bound::new(py, message)?.into_any())
    }
}

fn memory(settings: Settings) -> HeapMemory {
    HeapMemory::with_replay_cache(settings.replay_cache)
}

impl Client {
    fn lock<'a>(&'a self, py: Python<'_>) -> PyResult<Locked<'a>> {
        let me = this_thread();
        if self.owner.load(Ordering::Relaxed) == me {
            return Err(PyRuntimeError::new_err(
                "a storage must not use the client that it serves",
            ));
        }
        // Waits without the GIL, which the storage of the client at work may need.
        let guard = self.inner.lock_py_attached(py).map_err(|_| raise(py, Error::Internal))?;
        self.owner.store(me, Ordering::Relaxed);
        Ok(Locked { guard, owner: &self.owner })
    }

    fn create(
        py: Python<'_>,
        storage: Option<&Bound<'_, PyAny>>,
        settings: Option<Settings>,
        make: impl FnOnce(AnyStorage, HeapMemory, e4::Settings) -> e4::Result<Core<AnyStorage>> + Send,
    ) -> PyResult<Self> {
        let settings = settings.unwrap_or_default();
        let storage = AnyStorage::new(py, storage)?;
        let given = storage.clone();
        let core = py
            .detach(|| make(given, memory(settings), settings.into()))
            .map_err(|error| failure(py, &storage, error))?;
        drop(storage.raised.take());
        let inner = Mutex::new(Some(Inner { core, storage, settings }));
        Ok(Self { inner, owner: AtomicUsize::new(0) })
    }

    fn import(
        py: Python<'_>,
        storage: Option<&Bound<'_, PyAny>>,
        settings: Option<Settings>,
        read: impl FnOnce() -> e4::Result<Imported> + Send,
    ) -> PyResult<Self> {
        Self::create(py, storage, settings, |mut storage, memory, settings| {
            Core::import(&mut storage, read()?)?;
            Core::open_with(storage, memory, settings)
        })
    }
}

#[pymethods]
impl Client {
    /// Stores a new client, named or with an id. ``key`` is an IdKey (SK), or a SigningKey with
    /// C2's public key as ``c2_key`` (PK).
    ///
    /// Raises AlreadyProvisionedError if the storage holds a client; InvalidNameError;
    /// InvalidKeyError; StorageError.
    #[staticmethod]
    #[pyo3(signature = (client, key, *, c2_key=None, storage=None, settings=None))]
    fn provision(
        py: Python<'_>,
        client: IdOrName<'_>,
        key: OwnKey<'_>,
        c2_key: Option<&C2PublicKey>,
        storage: Option<&Bound<'_, PyAny>>,
        settings: Option<Settings>,
    ) -> PyResult<Self> {
        let id = client.get(py)?;
        let identity = match (key, c2_key) {
            (OwnKey::Id(key), None) => {
                Identity::symmetric(id, e4::IdKey::from_slice(key.0.expose()).or_raise(py)?)
            }
            (OwnKey::Signing(key), Some(c2)) => {
                let key = e4::SigningKey::from_slice(key.0.expose().as_slice()).or_raise(py)?;
                Identity::public_key(id, key, c2.0).or_raise(py)?
            }
            (OwnKey::Id(_), Some(_)) => {
                return Err(PyTypeError::new_err("c2_key goes with a SigningKey, not an IdKey"));
            }
            (OwnKey::Signing(_), None) => {
                return Err(PyTypeError::new_err("a SigningKey needs c2_key, C2's public key"));
            }
        };
        Self::create(py, storage, settings, |storage, memory, settings| {
            Core::provision_with(storage, memory, settings, identity)
        })
    }

    /// Stores a new client whose key is made from a password of at least 16 bytes, as e4go and
    /// libe4 do; without the GIL. With ``c2_key`` it is a PK client.
    ///
    /// Raises InvalidPasswordError and what ``provision`` raises.
    #[staticmethod]
    #[pyo3(signature = (name, password, *, c2_key=None, storage=None, settings=None))]
    fn provision_from_password(
        py: Python<'_>,
        name: String,
        password: String,
        c2_key: Option<&C2PublicKey>,
        storage: Option<&Bound<'_, PyAny>>,
        settings: Option<Settings>,
    ) -> PyResult<Self> {
        let password = Zeroizing::new(password);
        let c2 = c2_key.map(|key| key.0);
        let identity = py.detach(|| match c2 {
            None => Identity::symmetric_from_password(&name, &password),
            Some(c2) => Identity::public_key_from_password(&name, &password, c2),
        });
        let identity = identity.or_raise(py)?;
        Self::create(py, storage, settings, |storage, memory, settings| {
            Core::provision_with(storage, memory, settings, identity)
        })
    }

    /// Opens a stored client.
    ///
    /// Raises NotProvisionedError, StateCorruptError, StateIncompatibleError, StorageError.
    #[staticmethod]
    #[pyo3(signature = (storage, *, settings=None))]
    fn open(
        py: Python<'_>,
        storage: &Bound<'_, PyAny>,
        settings: Option<Settings>,
    ) -> PyResult<Self> {
        Self::create(py, Some(storage), settings, Core::open_with)
    }

    /// Stores the client of an e4go JSON file, whose bytes are given. Stop the old client.
    ///
    /// Raises StateIncompatibleError if it is not such a file, InvalidKeyError,
    /// AlreadyProvisionedError, StorageError.
    #[staticmethod]
    #[pyo3(signature = (json, *, storage=None, settings=None))]
    fn import_e4go(
        py: Python<'_>,
        json: Data<'_>,
        storage: Option<&Bound<'_, PyAny>>,
        settings: Option<Settings>,
    ) -> PyResult<Self> {
        Self::import(py, storage, settings, || Imported::from_e4go(&json))
    }

    /// Stores the client of a libe4 file (``E41P`` or ``E42P``), whose bytes are given. Stop the
    /// old client.
    ///
    /// Raises what ``import_e4go`` raises.
    #[staticmethod]
    #[pyo3(signature = (file, *, storage=None, settings=None))]
    fn import_libe4(
        py: Python<'_>,
        file: Data<'_>,
        storage: Option<&Bound<'_, PyAny>>,
        settings: Option<Settings>,
    ) -> PyResult<Self> {
        Self::import(py, storage, settings, || Imported::from_libe4(&file))
    }

    /// Protects a message for a topic: 24 (SK) or 104 (PK) bytes more. e4go refuses an empty SK
    /// message.
    ///
    /// Raises TopicKeyMissingError; InvalidTopicError, also for the client's own control topic;
    /// ClockUnknownError; StorageError.
    #[pyo3(
        signature = (topic, message, *, now=Now::System),
        text_signature = "($self, topic, message, *, now=...)"
    )]
    fn protect<'py>(
        &self,
        py: Python<'py>,
        topic: &str,
        message: Data<'_>,
        now: Now,
    ) -> PyResult<Bound<'py, PyBytes>> {
        self.lock(py)?.inner()?.protect(py, topic, &message, now)
    }

    /// Takes in what arrived on a topic: a Message, or, on the control topic, CommandApplied for a
    /// command that was applied and stored.
    ///
    /// Raises TopicKeyMissingError, MessageTooShortError, TimestampInFutureError,
    /// TimestampTooOldError, SignerUnknownError, SignatureInvalidError, InvalidTagError,
    /// InvalidTopicError; ReplayedError, a normal event where the broker retains commands; for a
    /// command also InvalidCommandError, InvalidKeyError and StorageError, after which nothing has
    /// changed.
    #[pyo3(
        signature = (topic, protected, *, now=Now::System),
        text_signature = "($self, topic, protected, *, now=...)"
    )]
    fn unprotect<'py>(
        &self,
        py: Python<'py>,
        topic: &str,
        protected: Data<'_>,
        now: Now,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.lock(py)?.inner()?.unprotect(py, topic, &protected, now)
    }

    /// Protects many messages, pairs of topic and message, without the GIL. Raises the first error.
    #[pyo3(
        signature = (items, *, now=Now::System),
        text_signature = "($self, items, *, now=...)"
    )]
    fn protect_many<'py>(
        &self,
        py: Python<'py>,
        items: &Bound<'py, PyAny>,
        now: Now,
    ) -> PyResult<Bound<'py, PyList>> {
        let items = pairs(items)?;
        let now = now.optional();
        let mut locked = self.lock(py)?;
        let protected = locked.inner()?.run(py, true, |core| {
            let each =
                items.iter().map(|(topic, message)| core.protect_to_vec(now, topic, message));
            each.collect::<e4::Result<Vec<_>>>()
        })?;
        PyList::new(py, protected.iter().map(|bytes| PyBytes::new(py, bytes)))
    }

    /// Takes in many, pairs of topic and bytes. What ``unprotect`` would raise for one stands in
    /// its place in the list, so that no result of the others is lost.
    #[pyo3(
        signature = (items, *, now=Now::System),
        text_signature = "($self, items, *, now=...)"
    )]
    fn unprotect_many<'py>(
        &self,
        py: Python<'py>,
        items: &Bound<'py, PyAny>,
        now: Now,
    ) -> PyResult<Bound<'py, PyList>> {
        let items = pairs(items)?;
        let time = now.optional();
        let mut locked = self.lock(py)?;
        let inner = locked.inner()?;
        let (core, raised) = (&mut inner.core, inner.storage.raised.clone());
        let opened: Vec<_> = py.detach(|| {
            let each = items
                .iter()
                .map(|(topic, bytes)| (core.unprotect_to_vec(time, topic, bytes), raised.take()));
            each.collect()
        });
        let list = PyList::empty(py);
        for (result, cause) in opened {
            match result {
                Ok(Unprotected::CommandApplied(opcode)) => {
                    list.append(Bound::new(py, CommandApplied::from(opcode))?)?;
                }
                Ok(Unprotected::Message(message)) => {
                    let by = message.signer;
                    let signer = by.map(|by| Signer { id: ClientId(by.id), verified: by.verified });
                    list.append(Message {
                        plaintext: PyBytes::new(py, &message.plaintext).unbind(),
                        timestamp: message.timestamp.as_secs(),
                        signer: signer.map(|signer| Py::new(py, signer)).transpose()?,
                    })?;
                }
                Err(error) => {
                    let error = match cause {
                        Some(cause) if !cause.is_instance_of::<PyException>(py) => {
                            return Err(cause);
                        }
                        Some(cause) if error == Error::Storage => raise_from(py, error, cause),
                        _ => raise(py, error),
                    };
                    list.append(error.into_value(py))?;
                }
            }
        }
        Ok(list)
    }

    /// The answer to the last command that authenticated, 58 bytes to be published on
    /// ``answer_topic`` with QoS 1, not retained; None if there is none that was not answered.
    ///
    /// Raises ClockUnknownError, StorageError.
    #[pyo3(signature = (*, now=Now::System), text_signature = "($self, *, now=...)")]
    fn answer<'py>(&self, py: Python<'py>, now: Now) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let answer = self.lock(py)?.inner()?.run(py, false, |core| core.answer(now.optional()))?;
        Ok(answer.map(|answer| PyBytes::new(py, &answer)))
    }

    /// A "hello", by which a client asks C2 to be brought up to date; published like an answer.
    ///
    /// Raises ClockUnknownError, StorageError.
    #[pyo3(signature = (*, now=Now::System), text_signature = "($self, *, now=...)")]
    fn hello<'py>(&self, py: Python<'py>, now: Now) -> PyResult<Bound<'py, PyBytes>> {
        let hello = self.lock(py)?.inner()?.run(py, false, |core| core.hello(now.optional()))?;
        Ok(PyBytes::new(py, &hello))
    }

    /// The digest of the keys that the client holds, 16 bytes (PROTOCOL section 11).
    ///
    /// Raises StorageError.
    fn digest<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let digest = self.lock(py)?.inner()?.run(py, false, |core| core.digest())?;
        Ok(PyBytes::new(py, &digest.0))
    }

    /// Whether the client holds a key for a topic.
    ///
    /// Raises InvalidTopicError, StorageError.
    fn has_topic(&self, py: Python<'_>, topic: &str) -> PyResult<bool> {
        self.lock(py)?.inner()?.run(py, false, |core| core.has_topic(topic))
    }

    /// Erases the client from its storage and closes it.
    ///
    /// Raises StorageError; then the storage holds the whole client, which stays usable, or none.
    fn forget(&self, py: Python<'_>) -> PyResult<()> {
        let mut locked = self.lock(py)?;
        locked.inner()?;
        let Some(Inner { core, storage, settings }) = locked.guard.take() else { return Ok(()) };
        let result = core.forget();
        let Err(error) = result else { return Ok(()) };
        let raised = failure(py, &storage, error);
        if let Ok(core) = Core::open_with(storage.clone(), memory(settings), settings.into()) {
            *locked.guard = Some(Inner { core, storage, settings });
        }
        Err(raised)
    }

    /// Gives up the storage; a state file can then be opened again. Closing twice is nothing.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let inner = self.lock(py)?.guard.take();
        drop(inner);
        Ok(())
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> PyResult<()> {
        self.close(py)
    }

    /// The id.
    #[getter]
    fn id(&self, py: Python<'_>) -> PyResult<ClientId> {
        Ok(ClientId(self.lock(py)?.inner()?.core.id()))
    }

    /// SK or PK.
    #[getter]
    fn mode(&self, py: Python<'_>) -> PyResult<Mode> {
        Ok(self.lock(py)?.inner()?.core.mode().into())
    }

    /// The public key of a PK client; None in SK mode.
    #[getter]
    fn public_key(&self, py: Python<'_>) -> PyResult<Option<PublicKey>> {
        Ok(self.lock(py)?.inner()?.core.public_key().map(PublicKey))
    }

    /// The topic to subscribe to for commands, 35 characters.
    #[getter]
    fn control_topic(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.lock(py)?.inner()?.core.control_topic().to_string())
    }

    /// The topic on which answers are published, 39 characters.
    #[getter]
    fn answer_topic(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.lock(py)?.inner()?.core.answer_topic().to_string())
    }

    /// How many topic keys the client holds.
    #[getter]
    fn topic_count(&self, py: Python<'_>) -> PyResult<u32> {
        Ok(self.lock(py)?.inner()?.core.topic_count())
    }

    /// How many public keys of others the client holds.
    #[getter]
    fn peer_count(&self, py: Python<'_>) -> PyResult<u32> {
        Ok(self.lock(py)?.inner()?.core.peer_count())
    }

    /// What the client tolerates. ``replay_cache`` stays what it was at the start.
    #[getter]
    fn settings(&self, py: Python<'_>) -> PyResult<Settings> {
        Ok(self.lock(py)?.inner()?.settings)
    }

    #[setter]
    fn set_settings(&self, py: Python<'_>, settings: Settings) -> PyResult<()> {
        let mut locked = self.lock(py)?;
        let inner = locked.inner()?;
        if settings.replay_cache != inner.settings.replay_cache {
            return Err(PyValueError::new_err("replay_cache can only be set at the start"));
        }
        *inner.core.settings_mut() = settings.into();
        inner.settings = settings;
        Ok(())
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let mut locked = self.lock(py)?;
        Ok(match locked.inner() {
            Ok(inner) => format!("<e4.Client {} {:?}>", inner.core.id(), inner.core.mode()),
            Err(_) => "<e4.Client closed>".into(),
        })
    }

    fn __reduce__(&self) -> PyResult<()> {
        Err(no_pickle("e4.Client"))
    }
}

type Pairs = Vec<(String, Vec<u8>)>;

/// Pairs of topic and bytes, copied, since the work is done without the GIL.
fn pairs(items: &Bound<'_, PyAny>) -> PyResult<Pairs> {
    items
        .try_iter()?
        .map(|item| {
            let (topic, bytes): (String, Bound<'_, PyAny>) = item?.extract()?;
            Ok((topic, bytes.extract::<Data<'_>>()?.to_vec()))
        })
        .collect()
}
