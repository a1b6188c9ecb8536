// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where a client keeps its records.

use crate::error::{Error, Result};

#[cfg(feature = "std")]
pub use super::file::FileStorage;

/// Length of the longest record, in bytes: the head of a PK client after sixteen commands in one
/// second. A slot takes [`SLOT_LEN`].
pub const RECORD_MAX: usize = super::head::HEAD_MAX;
/// Length of the record of one key.
pub const SLOT_LEN: usize = super::slot::SLOT_LEN;

/// Small numbered records. One sentence is the whole promise: **after a power cut a record holds
/// the old bytes or the new ones, never a mixture.**
///
/// Record 0 is the head (identity, replay mark); records from 1 up hold one key each, numbered
/// without gaps, so that a storage may give them fixed places of [`SLOT_LEN`] bytes. A
/// storage belongs to one client at a time.
///
/// Writes: a message costs none. A command costs one, two if it overwrites a record in the same
/// second as the command before it; ResetTopics and ResetPubKeys cost one more for each key.
pub trait Storage {
    /// Reads a record into the start of `buffer` and returns its length, or `None` if there is no
    /// such record.
    ///
    /// # Errors
    /// [`Error::Storage`]; [`Error::StateIncompatible`] if the record is longer than the buffer.
    fn read(&self, record: u32, buffer: &mut [u8]) -> Result<Option<usize>>;

    /// Writes or replaces a record; it is durable when this returns. A write that reports an error
    /// should have changed nothing: of a client whose table has no place for the key, the storage is
    /// read again, and what it holds then counts.
    ///
    /// # Errors
    /// [`Error::Storage`]; [`Error::StorageFull`] where there is no place for it.
    fn write(&mut self, record: u32, bytes: &[u8]) -> Result<()>;

    /// Erases a record so that its bytes cannot be read again, as far as the medium allows.
    /// Erasing what is not there succeeds.
    ///
    /// # Errors
    /// [`Error::Storage`].
    fn erase(&mut self, record: u32) -> Result<()>;
}

impl<S: Storage + ?Sized> Storage for &mut S {
    fn read(&self, record: u32, buffer: &mut [u8]) -> Result<Option<usize>> {
        (**self).read(record, buffer)
    }

    fn write(&mut self, record: u32, bytes: &[u8]) -> Result<()> {
        (**self).write(record, bytes)
    }

    fn erase(&mut self, record: u32) -> Result<()> {
        (**self).erase(record)
    }
}

#[cfg(feature = "std")]
impl<S: Storage + ?Sized> Storage for Box<S> {
    fn read(&self, record: u32, buffer: &mut [u8]) -> Result<Option<usize>> {
        (**self).read(record, buffer)
    }

    fn write(&mut self, record: u32, bytes: &[u8]) -> Result<()> {
        (**self).write(record, bytes)
    }

    fn erase(&mut self, record: u32) -> Result<()> {
        (**self).erase(record)
    }
}

/// Copies a record out; the common half of every `read`.
pub(crate) fn copy_out(record: Option<&[u8]>, buffer: &mut [u8]) -> Result<Option<usize>> {
    let Some(record) = record else { return Ok(None) };
    let to = buffer.get_mut(..record.len()).ok_or(Error::StateIncompatible)?;
    to.copy_from_slice(record);
    Ok(Some(record.len()))
}

/// Records in memory that the caller gives: gone when it is, so for clients that are provisioned
/// at every start, and for tests. Each place holds one record of up to [`RECORD_MAX`] bytes.
pub struct SliceStorage<'a> {
    places: &'a mut [Place],
}

/// A place for one record in memory.
#[derive(zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
#[repr(C)]
pub struct Place {
    len: u16,
    bytes: [u8; RECORD_MAX],
}

impl Place {
    /// A place without a record.
    pub const EMPTY: Place = Place { len: 0, bytes: [0; RECORD_MAX] };
}

impl<'a> SliceStorage<'a> {
    /// Storage for `places.len() - 1` keys. What the places hold is taken as records: start with
    /// [`Place::EMPTY`].
    pub fn new(places: &'a mut [Place]) -> Self {
        Self { places }
    }

    fn place(&mut self, record: u32) -> Option<&mut Place> {
        self.places.get_mut(usize::try_from(record).ok()?)
    }
}

impl Storage for SliceStorage<'_> {
    fn read(&self, record: u32, buffer: &mut [u8]) -> Result<Option<usize>> {
        let place = usize::try_from(record).ok().and_then(|record| self.places.get(record));
        let bytes = place.and_then(|place| place.bytes.get(..usize::from(place.len)));
        copy_out(bytes.filter(|bytes| !bytes.is_empty()), buffer)
    }

    fn write(&mut self, record: u32, bytes: &[u8]) -> Result<()> {
        let place = self.place(record).ok_or(Error::StorageFull)?;
        let to = place.bytes.get_mut(..bytes.len()).ok_or(Error::Storage)?;
        to.copy_from_slice(bytes);
        place.len = u16::try_from(bytes.len()).map_err(|_| Error::Storage)?;
        Ok(())
    }

    fn erase(&mut self, record: u32) -> Result<()> {
        if let Some(place) = self.place(record) {
            zeroize::Zeroize::zeroize(place);
        }
        Ok(())
    }
}

/// Records on the heap: gone when it is dropped, wiped.
#[cfg(feature = "std")]
#[derive(Default)]
pub struct MemoryStorage {
    records: std::collections::BTreeMap<u32, zeroize::Zeroizing<Vec<u8>>>,
}

#[cfg(feature = "std")]
impl MemoryStorage {
    /// An empty storage.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.records.iter().map(|(record, bytes)| (*record, bytes.as_slice()))
    }

    pub(crate) fn take(&mut self, record: u32) -> Option<zeroize::Zeroizing<Vec<u8>>> {
        self.records.remove(&record)
    }

    pub(crate) fn put(&mut self, record: u32, bytes: Option<zeroize::Zeroizing<Vec<u8>>>) {
        match bytes {
            Some(bytes) => self.records.insert(record, bytes),
            None => self.records.remove(&record),
        };
    }
}

#[cfg(feature = "std")]
impl Storage for MemoryStorage {
    fn read(&self, record: u32, buffer: &mut [u8]) -> Result<Option<usize>> {
        copy_out(self.records.get(&record).map(|bytes| bytes.as_slice()), buffer)
    }

    fn write(&mut self, record: u32, bytes: &[u8]) -> Result<()> {
        self.put(record, Some(bytes.to_vec().into()));
        Ok(())
    }

    fn erase(&mut self, record: u32) -> Result<()> {
        self.put(record, None);
        Ok(())
    }
}
