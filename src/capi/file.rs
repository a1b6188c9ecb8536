// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Storage in a file (on hosts).

use core::ffi::{c_char, c_void};
use std::io::ErrorKind;

use super::provision::E4_OK;
use super::raw::{self, Span};
use super::storage::answer_read;
use super::types::e4_storage;
use crate::client::storage::{FileStorage, Storage};
use crate::error::{Error, Result};

/// A state file that is open.
pub struct e4_file {
    storage: FileStorage,
}

/// Opens a state file (on hosts) and sets *file, which is NULL after an error. A file that does not
/// exist is created by the first write, with mode 0600. Every write makes a new file and renames
/// it, so that a power cut leaves the old one or the new one.
///
/// E4_ERROR_STATE_INCOMPATIBLE if it is not a state file; E4_ERROR_STORAGE if the file system
/// refuses it, or another client has it open; E4_ERROR_INVALID_PARAMETER, also for a path that is
/// empty or not UTF-8.
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_file_open(
    path: *const c_char,
    path_len: usize,
    file: *mut *mut e4_file,
) -> i32 {
    // SAFETY: the caller's pointers, which are checked.
    raw::status(unsafe {
        if raw::check(&[Span::one(file)], &[]).is_ok() {
            file.write(core::ptr::null_mut());
        }
        open(path, path_len, file)
    })
}

/// # Safety
/// The pointers are what the header says.
unsafe fn open(path: *const c_char, path_len: usize, file: *mut *mut e4_file) -> Result<i32> {
    raw::check(&[Span::one(file)], &[Span::many(path, path_len)])?;
    // SAFETY: the contract above; the pointers were checked.
    let path = unsafe { raw::text(path, path_len, Error::InvalidParameter)? };
    if path.is_empty() {
        return Err(Error::InvalidParameter);
    }
    let storage = FileStorage::open(path).map_err(|error| match error.kind() {
        ErrorKind::InvalidData => Error::StateIncompatible,
        _ => Error::Storage,
    })?;
    // SAFETY: as above.
    unsafe { file.write(Box::into_raw(Box::new(e4_file { storage }))) };
    Ok(E4_OK)
}

/// Fills in storage for an e4_config with a state file (on hosts).
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_file_storage(file: *mut e4_file, storage: *mut e4_storage) -> i32 {
    let checked = raw::check(&[Span::one(storage), Span::one(file)], &[]);
    raw::status(checked.map(|()| {
        let made = e4_storage {
            ctx: file.cast(),
            read: Some(file_read),
            write: Some(file_write),
            erase: Some(file_erase),
        };
        // SAFETY: the caller's pointer, which was checked.
        unsafe { storage.write(made) };
        E4_OK
    }))
}

/// Closes a state file (on hosts), after the client that used it. NULL is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn e4_file_close(file: *mut e4_file) {
    if !file.is_null() {
        // SAFETY: the caller has it from `e4_file_open` and gives it away once.
        drop(unsafe { Box::from_raw(file) });
    }
}

unsafe extern "C" fn file_read(
    ctx: *mut c_void,
    record: u32,
    buf: *mut u8,
    cap: usize,
    len: *mut usize,
) -> i32 {
    // SAFETY: called by E4 with the file as ctx and its own buffer.
    unsafe { answer_read(&(*ctx.cast::<e4_file>()).storage, record, buf, cap, len) }
}

unsafe extern "C" fn file_write(ctx: *mut c_void, record: u32, buf: *const u8, len: usize) -> i32 {
    // SAFETY: as in `file_read`; calls on one storage follow one another.
    let (file, bytes) = unsafe { (&mut *ctx.cast::<e4_file>(), raw::bytes(buf, len)) };
    raw::status(file.storage.write(record, bytes).map(|()| E4_OK))
}

unsafe extern "C" fn file_erase(ctx: *mut c_void, record: u32) -> i32 {
    // SAFETY: as in `file_write`.
    let file = unsafe { &mut *ctx.cast::<e4_file>() };
    raw::status(file.storage.erase(record).map(|()| E4_OK))
}
