// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where records are kept: in memory, in a file, or in an object that Python code wrote.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use e4::{Error, FileStorage, MemoryStorage, Storage};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::args::Data;
use crate::errors::raise_from;

/// The exception that Python code raised, until the call that caused it returns.
#[derive(Clone, Default)]
pub struct Raised(Arc<Mutex<Option<PyErr>>>);

impl Raised {
    /// Takes it.
    pub fn take(&self) -> Option<PyErr> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, error: PyErr) -> Error {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        Error::Storage
    }
}

/// A storage of any kind. Clones are the same storage, so that it outlives a client that was not
/// forgotten.
#[derive(Clone)]
pub struct AnyStorage {
    kind: Arc<Mutex<Kind>>,
    /// What Python code raised.
    pub raised: Raised,
    /// Whether Python code can raise anything at all.
    pub is_python: bool,
}

enum Kind {
    Memory(MemoryStorage),
    File(FileStorage),
    Python(Py<PyAny>),
}

impl AnyStorage {
    /// From the argument `storage`: None, a path, or an object.
    pub fn new(py: Python<'_>, object: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let kind = match object {
            None => Kind::Memory(MemoryStorage::new()),
            Some(object) => match object.extract::<PathBuf>() {
                Ok(path) => Kind::File(open_file(py, path)?),
                Err(_) => Kind::Python(checked(object)?),
            },
        };
        let is_python = matches!(kind, Kind::Python(_));
        Ok(Self { kind: Arc::new(Mutex::new(kind)), raised: Raised::default(), is_python })
    }

    fn with<R>(&self, then: impl FnOnce(&mut Kind) -> e4::Result<R>) -> e4::Result<R> {
        // Only the client that owns the storage comes here, under its own lock: never waits.
        let mut kind = self.kind.lock().map_err(|_| Error::Internal)?;
        then(&mut kind)
    }

    fn call<R>(
        &self,
        object: &Py<PyAny>,
        call: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<R>,
    ) -> e4::Result<R> {
        Python::attach(|py| call(object.bind(py))).map_err(|error| self.raised.put(error))
    }
}

fn open_file(py: Python<'_>, path: PathBuf) -> PyResult<FileStorage> {
    py.detach(|| FileStorage::open(path)).map_err(|error| {
        let kind = match error.kind() {
            ErrorKind::InvalidData => Error::StateIncompatible,
            _ => Error::Storage,
        };
        raise_from(py, kind, error.into())
    })
}

fn checked(object: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    for method in ["read", "write", "erase"] {
        if !object.getattr(method).is_ok_and(|method| method.is_callable()) {
            return Err(PyTypeError::new_err(
                "storage must be a path, an object with read, write and erase, or None",
            ));
        }
    }
    Ok(object.clone().unbind())
}

impl Storage for AnyStorage {
    fn read(&self, record: u32, buffer: &mut [u8]) -> e4::Result<Option<usize>> {
        self.with(|kind| match kind {
            Kind::Memory(storage) => storage.read(record, buffer),
            Kind::File(storage) => storage.read(record, buffer),
            Kind::Python(object) => self.call(object, |object| {
                let found = object.call_method1("read", (record,))?;
                if found.is_none() {
                    return Ok(None);
                }
                let bytes: Data<'_> = found.extract()?;
                let room = buffer
                    .get_mut(..bytes.len())
                    .ok_or_else(|| PyValueError::new_err("read returned more than a record"))?;
                room.copy_from_slice(&bytes);
                Ok(Some(bytes.len()))
            }),
        })
    }

    fn write(&mut self, record: u32, bytes: &[u8]) -> e4::Result<()> {
        self.with(|kind| match kind {
            Kind::Memory(storage) => storage.write(record, bytes),
            Kind::File(storage) => storage.write(record, bytes),
            Kind::Python(object) => self.call(object, |object| {
                let bytes = PyBytes::new(object.py(), bytes);
                object.call_method1("write", (record, bytes)).map(drop)
            }),
        })
    }

    fn erase(&mut self, record: u32) -> e4::Result<()> {
        self.with(|kind| match kind {
            Kind::Memory(storage) => storage.erase(record),
            Kind::File(storage) => storage.erase(record),
            Kind::Python(object) => {
                self.call(object, |object| object.call_method1("erase", (record,)).map(drop))
            }
        })
    }
}
