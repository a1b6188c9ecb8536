// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Storage in memory.

use core::ffi::c_void;

use super::provision::{E4_OK, E4_OK_NONE};
use super::raw::{self, Span};
use super::sizes::{E4_RECORD_MAX, E4_SLOT_LEN};
use super::types::*;
use crate::client::storage::{Storage, copy_out};
use crate::error::{Error, Result};

/// A storage in RAM: gone with it, so for clients that are provisioned at every start, and for
/// tests. It fills in storage for an e4_config.
///
/// bytes, of E4_MEMORY_SIZE(keys) bytes or more for that many keys, and memory must live as long as
/// a client uses the storage. What bytes holds is taken as records: start with zero bytes. When a
/// place for another key is missing, a command gives E4_ERROR_STORAGE_FULL. The records hold
/// secret keys: wipe bytes when it is no longer needed.
///
/// E4_ERROR_BUFFER_TOO_SMALL if there is no room for one client without keys.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_memory_storage(
    memory: *mut e4_memory,
    bytes: *mut u8,
    len: usize,
    storage: *mut e4_storage,
) -> i32 {
    let writes = [Span::one(memory), Span::many(bytes, len), Span::one(storage)];
    raw::status(raw::check(&writes, &[]).and_then(|()| {
        if len < HEAD_PLACE {
            return Err(Error::BufferTooSmall);
        }
        // SAFETY: the caller's pointers, which were checked.
        unsafe {
            memory.write(e4_memory { bytes, len });
            storage.write(e4_storage {
                ctx: memory.cast(),
                read: Some(memory_read),
                write: Some(memory_write),
                erase: Some(memory_erase),
            });
        }
        Ok(E4_OK)
    }))
}

/// A length, then a record.
const LENGTH: usize = 2;
const HEAD_PLACE: usize = LENGTH + E4_RECORD_MAX;
const SLOT_PLACE: usize = LENGTH + E4_SLOT_LEN;

/// Records in bytes: a long place for the head, then a short one for each key.
struct Places<'a>(&'a mut [u8]);

/// Where a record stands.
fn place(record: u32) -> Option<core::ops::Range<usize>> {
    let Some(before) = usize::try_from(record).ok()?.checked_sub(1) else {
        return Some(0..HEAD_PLACE);
    };
    let start = before.checked_mul(SLOT_PLACE)?.checked_add(HEAD_PLACE)?;
    Some(start..start.checked_add(SLOT_PLACE)?)
}

impl Storage for Places<'_> {
    fn read(&self, record: u32, buffer: &mut [u8]) -> Result<Option<usize>> {
        let place = place(record).and_then(|place| self.0.get(place));
        let Some((length, bytes)) = place.and_then(|place| place.split_first_chunk()) else {
            return Ok(None);
        };
        match usize::from(u16::from_le_bytes(*length)) {
            0 => Ok(None),
            length => copy_out(Some(bytes.get(..length).ok_or(Error::StateCorrupt)?), buffer),
        }
    }

    fn write(&mut self, record: u32, bytes: &[u8]) -> Result<()> {
        let place = place(record).and_then(|place| self.0.get_mut(place));
        let place = place.and_then(|place| place.split_first_chunk_mut::<LENGTH>());
        let (length, to) = place.ok_or(Error::StorageFull)?;
        to.get_mut(..bytes.len()).ok_or(Error::Storage)?.copy_from_slice(bytes);
        *length = u16::try_from(bytes.len()).map_err(|_| Error::Storage)?.to_le_bytes();
        Ok(())
    }

    fn erase(&mut self, record: u32) -> Result<()> {
        if let Some(place) = place(record).and_then(|place| self.0.get_mut(place)) {
            zeroize::Zeroize::zeroize(place);
        }
        Ok(())
    }
}

/// # Safety
/// `ctx` is an `e4_memory` that `e4_memory_storage` has filled, and nobody else uses it for `'a`.
unsafe fn memory_at<'a>(ctx: *mut c_void) -> Places<'a> {
    // SAFETY: the contract above.
    unsafe {
        let memory = &*ctx.cast::<e4_memory>();
        Places(core::slice::from_raw_parts_mut(memory.bytes, memory.len))
    }
}

unsafe extern "C" fn memory_read(
    ctx: *mut c_void,
    record: u32,
    buf: *mut u8,
    cap: usize,
    len: *mut usize,
) -> i32 {
    // SAFETY: called by E4 with the ctx above and its own buffer.
    unsafe { answer_read(&memory_at(ctx), record, buf, cap, len) }
}

unsafe extern "C" fn memory_write(
    ctx: *mut c_void,
    record: u32,
    buf: *const u8,
    len: usize,
) -> i32 {
    // SAFETY: as in `memory_read`.
    let (mut memory, bytes) = unsafe { (memory_at(ctx), raw::bytes(buf, len)) };
    raw::status(memory.write(record, bytes).map(|()| E4_OK))
}

unsafe extern "C" fn memory_erase(ctx: *mut c_void, record: u32) -> i32 {
    // SAFETY: as in `memory_read`.
    raw::status(unsafe { memory_at(ctx) }.erase(record).map(|()| E4_OK))
}

/// The read callback over a storage of Rust.
///
/// # Safety
/// `buf` has `cap` initialised bytes and `len` is writable, as E4 calls it.
pub(super) unsafe fn answer_read(
    storage: &impl Storage,
    record: u32,
    buf: *mut u8,
    cap: usize,
    len: *mut usize,
) -> i32 {
    // SAFETY: the contract above.
    let buffer = unsafe { core::slice::from_raw_parts_mut(buf, cap) };
    raw::status(storage.read(record, buffer).map(|length| match length {
        Some(length) => {
            // SAFETY: the contract above.
            unsafe { len.write(length) };
            E4_OK
        }
        None => E4_OK_NONE,
    }))
}

/// A storage of C.
pub struct Callbacks {
    ctx: *mut c_void,
    read: unsafe extern "C" fn(*mut c_void, u32, *mut u8, usize, *mut usize) -> i32,
    write: unsafe extern "C" fn(*mut c_void, u32, *const u8, usize) -> i32,
    erase: unsafe extern "C" fn(*mut c_void, u32) -> i32,
}

impl Callbacks {
    pub(super) fn new(storage: &e4_storage) -> Option<Self> {
        let e4_storage { ctx, read, write, erase } = *storage;
        Some(Self { ctx, read: read?, write: write?, erase: erase? })
    }
}

/// The error that a callback means.
#[cfg_attr(not(feature = "std"), inline(never))]
fn error_of(status: i32) -> Error {
    match Error::from_number(status) {
        Some(error @ (Error::StorageFull | Error::StateIncompatible | Error::StateCorrupt)) => {
            error
        }
        _ => Error::Storage,
    }
}

#[cfg_attr(not(feature = "std"), inline(never))]
fn done(status: i32) -> Result<()> {
    if status == E4_OK { Ok(()) } else { Err(error_of(status)) }
}

impl Storage for Callbacks {
    fn read(&self, record: u32, buffer: &mut [u8]) -> Result<Option<usize>> {
        let mut len = 0;
        let (buf, cap) = (buffer.as_mut_ptr(), buffer.len());
        // SAFETY: what the header promises to a callback; what it does with that is the caller's.
        match unsafe { (self.read)(self.ctx, record, buf, cap, &raw mut len) } {
            E4_OK if len <= cap => Ok(Some(len)),
            E4_OK_NONE => Ok(None),
            status => Err(error_of(status)),
        }
    }

    fn write(&mut self, record: u32, bytes: &[u8]) -> Result<()> {
        // SAFETY: as in `read`.
        done(unsafe { (self.write)(self.ctx, record, bytes.as_ptr(), bytes.len()) })
    }

    fn erase(&mut self, record: u32) -> Result<()> {
        // SAFETY: as in `read`.
        done(unsafe { (self.erase)(self.ctx, record) })
    }
}
