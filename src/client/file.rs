// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Records in one file that is replaced as a whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::storage::{MemoryStorage, Storage};
use crate::crypto::hash::short_hash;
use crate::error::{Error, Result};

/// Eight bytes at the start of a state file: its kind and version.
const MAGIC: &[u8; 8] = b"e4state\x01";
const CHECK_LEN: usize = 8;

/// Records in a file, mode 0600. Every change writes a temporary file beside it, syncs that,
/// and renames it over the old one, so that a power cut leaves the old file or the new one.
///
/// A second program that opens the same file is refused: a lock on `<path>.lock` is held while
/// this value lives.
///
/// Format: `e4state` and a version byte, then for each record its number (4 bytes), its length
/// (2 bytes), both little-endian, and its bytes; at the end the first 8 bytes of SHA3-256 of all
/// that.
pub struct FileStorage {
    path: PathBuf,
    records: MemoryStorage,
    // Held, not read: the lock goes when it is dropped.
    _lock: File,
}

impl FileStorage {
    /// Opens a state file; one that does not exist has no records yet and is created by the first
    /// write.
    ///
    /// # Errors
    /// Those of the file system; [`io::ErrorKind::WouldBlock`] if another client has it open;
    /// [`io::ErrorKind::InvalidData`] if it is not a state file of this version, or
    /// damaged.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref().to_path_buf();
        let lock = private(OpenOptions::new().write(true).create(true).truncate(false))
            .open(beside(&path, ".lock"))?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => io::Error::new(
                io::ErrorKind::WouldBlock,
                "the state file is in use by another client",
            ),
            fs::TryLockError::Error(error) => error,
        })?;
        let records = match fs::read(&path) {
            Ok(bytes) => parse(&Zeroizing::new(bytes)).ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    "not a state file of this version, or damaged",
                )
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => MemoryStorage::new(),
            Err(error) => return Err(error),
        };
        Ok(Self { path, records, _lock: lock })
    }

    fn save(&self) -> io::Result<()> {
        let temporary = beside(&self.path, ".new");
        if let Err(error) = fs::remove_file(&temporary)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut bytes = Zeroizing::new(MAGIC.to_vec());
        for (record, content) in self.records.records() {
            let length = u16::try_from(content.len()).map_err(io::Error::other)?;
            bytes.extend_from_slice(&record.to_le_bytes());
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(content);
        }
        let check: [u8; CHECK_LEN] = short_hash(&[&bytes]);
        bytes.extend_from_slice(&check);
        let mut file = private(OpenOptions::new().write(true).create_new(true)).open(&temporary)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, &self.path)?;
        sync_directory(&self.path)
    }

    /// Makes a change and takes it back in memory if the file could not be written.
    fn change(&mut self, record: u32, bytes: Option<Zeroizing<Vec<u8>>>) -> Result<()> {
        let old = self.records.take(record);
        if old.is_none() && bytes.is_none() {
            return Ok(());
        }
        self.records.put(record, bytes);
        self.save().map_err(|_| {
            self.records.put(record, old);
            Error::Storage
        })
    }
}

impl Storage for FileStorage {
    fn read(&self, record: u32, buffer: &mut [u8]) -> Result<Option<usize>> {
        self.records.read(record, buffer)
    }

    fn write(&mut self, record: u32, bytes: &[u8]) -> Result<()> {
        self.change(record, Some(bytes.to_vec().into()))
    }

    fn erase(&mut self, record: u32) -> Result<()> {
        self.change(record, None)
    }
}

fn parse(bytes: &[u8]) -> Option<MemoryStorage> {
    let (content, check) = bytes.split_last_chunk::<CHECK_LEN>()?;
    if *check != short_hash(&[content]) {
        return None;
    }
    let mut rest = content.strip_prefix(MAGIC)?;
    let mut records = MemoryStorage::new();
    while !rest.is_empty() {
        let (record, after) = rest.split_first_chunk()?;
        let (length, after) = after.split_first_chunk()?;
        let length = usize::from(u16::from_le_bytes(*length));
        let (content, after) = after.split_at_checked(length)?;
        records.put(u32::from_le_bytes(*record), Some(content.to_vec().into()));
        rest = after;
    }
    Some(records)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600)
}

#[cfg(not(unix))]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_path: &Path) -> io::Result<()> {
    Ok(())
}
