// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where records are kept: in memory, in a file, or in what the app wrote.

use std::fmt;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};

use e4::client::storage::RECORD_MAX;
use e4::{Error, FileStorage, MemoryStorage, Storage};
use zeroize::Zeroizing;

use crate::failure::{Failure, Result};

/// How a storage that the app wrote fails.
#[derive(Debug, uniffi::Error)]
pub enum RecordsFailure {
    /// It failed.
    Failed,
    /// It has no place for another record.
    Full,
}

impl fmt::Display for RecordsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl std::error::Error for RecordsFailure {}

impl From<uniffi::UnexpectedUniFFICallbackError> for RecordsFailure {
    fn from(_: uniffi::UnexpectedUniFFICallbackError) -> Self {
        Self::Failed
    }
}

impl From<RecordsFailure> for Error {
    fn from(failure: RecordsFailure) -> Self {
        match failure {
            RecordsFailure::Failed => Error::Storage,
            RecordsFailure::Full => Error::StorageFull,
        }
    }
}

/// A storage that the app wrote.
#[uniffi::export(with_foreign)]
pub trait Records: Send + Sync {
    /// The bytes of a record, if there is one.
    fn read(&self, record: u32) -> std::result::Result<Option<Vec<u8>>, RecordsFailure>;
    /// Writes or replaces a record.
    fn write(&self, record: u32, bytes: Vec<u8>) -> std::result::Result<(), RecordsFailure>;
    /// Erases a record.
    fn erase(&self, record: u32) -> std::result::Result<(), RecordsFailure>;
}

/// A ready storage.
#[derive(uniffi::Object)]
pub struct Store(Mutex<Kind>);

enum Kind {
    Closed,
    Memory(MemoryStorage),
    File(FileStorage),
}

#[uniffi::export]
impl Store {
    /// Records in memory.
    #[uniffi::constructor]
    pub fn memory() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Kind::Memory(MemoryStorage::new()))))
    }

    /// Records in a file.
    #[uniffi::constructor]
    pub fn file(path: String) -> Result<Arc<Self>> {
        let file = FileStorage::open(&path).map_err(|error| {
            let kind = match error.kind() {
                ErrorKind::InvalidData => Error::StateIncompatible,
                _ => Error::Storage,
            };
            Failure::Failed { number: kind.number(), text: format!("{kind}: {path}: {error}") }
        })?;
        Ok(Arc::new(Self(Mutex::new(Kind::File(file)))))
    }

    /// The bytes of a record, if there is one.
    pub fn read(&self, record: u32) -> Result<Option<Vec<u8>>> {
        let mut buffer = Zeroizing::new([0; RECORD_MAX]);
        let length = self.read_into(record, &mut *buffer)?;
        Ok(length.and_then(|length| buffer.get(..length)).map(<[u8]>::to_vec))
    }

    /// Writes or replaces a record.
    pub fn write(&self, record: u32, bytes: Vec<u8>) -> Result<()> {
        Ok(self.write_from(record, &Zeroizing::new(bytes))?)
    }

    /// Erases a record.
    pub fn erase(&self, record: u32) -> Result<()> {
        Ok(self.erase_record(record)?)
    }

    /// Gives up the file.
    pub fn shut(&self) {
        self.with(|kind| *kind = Kind::Closed);
    }
}

impl Store {
    fn with<R>(&self, then: impl FnOnce(&mut Kind) -> R) -> R {
        then(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn read_into(&self, record: u32, buffer: &mut [u8]) -> e4::Result<Option<usize>> {
        self.with(|kind| match kind {
            Kind::Memory(storage) => storage.read(record, buffer),
            Kind::File(storage) => storage.read(record, buffer),
            Kind::Closed => Err(Error::Storage),
        })
    }

    fn write_from(&self, record: u32, bytes: &[u8]) -> e4::Result<()> {
        self.with(|kind| match kind {
            Kind::Memory(storage) => storage.write(record, bytes),
            Kind::File(storage) => storage.write(record, bytes),
            Kind::Closed => Err(Error::Storage),
        })
    }

    fn erase_record(&self, record: u32) -> e4::Result<()> {
        self.with(|kind| match kind {
            Kind::Memory(storage) => storage.erase(record),
            Kind::File(storage) => storage.erase(record),
            Kind::Closed => Err(Error::Storage),
        })
    }
}

/// Which storage a client is given.
#[derive(uniffi::Enum)]
pub enum Place {
    /// A ready one.
    Ready {
        /// The store.
        store: Arc<Store>,
    },
    /// One that the app wrote.
    Foreign {
        /// The object.
        records: Arc<dyn Records>,
    },
}

/// The storage of a client. Clones are the same storage.
#[derive(Clone)]
pub enum AnyStorage {
    /// A ready one.
    Ready(Arc<Store>),
    /// One that the app wrote.
    Foreign(Arc<dyn Records>),
}

impl From<Place> for AnyStorage {
    fn from(place: Place) -> Self {
        match place {
            Place::Ready { store } => Self::Ready(store),
            Place::Foreign { records } => Self::Foreign(records),
        }
    }
}

impl Storage for AnyStorage {
    fn read(&self, record: u32, buffer: &mut [u8]) -> e4::Result<Option<usize>> {
        match self {
            Self::Ready(store) => store.read_into(record, buffer),
            Self::Foreign(records) => {
                let Some(bytes) = records.read(record)?.map(Zeroizing::new) else {
                    return Ok(None);
                };
                let room = buffer.get_mut(..bytes.len()).ok_or(Error::StateIncompatible)?;
                room.copy_from_slice(&bytes);
                Ok(Some(bytes.len()))
            }
        }
    }

    fn write(&mut self, record: u32, bytes: &[u8]) -> e4::Result<()> {
        match self {
            Self::Ready(store) => store.write_from(record, bytes),
            Self::Foreign(records) => Ok(records.write(record, bytes.to_vec())?),
        }
    }

    fn erase(&mut self, record: u32) -> e4::Result<()> {
        match self {
            Self::Ready(store) => store.erase_record(record),
            Self::Foreign(records) => Ok(records.erase(record)?),
        }
    }
}
