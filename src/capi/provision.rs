// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Provisioning: a new client, stored and open.
//
// Each function takes a client that is not open, and leaves it so on an error.

#[cfg(feature = "password")]
use core::ffi::c_char;

use super::raw::{self, Span};
use super::sizes::*;
use super::storage::Callbacks;
use super::types::{e4_client, e4_config, e4_settings};
#[cfg(any(feature = "password", feature = "pubkey"))]
use crate::client::Identity;
use crate::client::memory::{KeyPlace, SeenPlace, SliceMemory};
use crate::client::{Client, Settings};
use crate::error::{Error, Result};
use crate::id::ClientId;
use crate::protect::Window;
#[cfg(feature = "pubkey")]
use crate::{C2PublicKey, SigningKey};

/// Stores a new client in symmetric-key mode and opens it. Its id and key are what C2 has for it;
/// both are copied, the key must not be all zero.
///
/// E4_ERROR_ALREADY_PROVISIONED if the storage holds a client, which is not touched;
/// E4_ERROR_INVALID_KEY; errors of the storage; E4_ERROR_INVALID_PARAMETER, also if the client is
/// open.
///
/// cbindgen:ptrs-as-arrays=[[id; E4_ID_LEN], [key; E4_KEY_LEN]]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_provision_symmetric(
    client: *mut e4_client,
    config: *const e4_config,
    id: *const u8,
    key: *const u8,
) -> i32 {
    let reads = [Span::many(id, E4_ID_LEN), Span::many(key, E4_KEY_LEN)];
    // SAFETY: the caller's pointers, as the contract says, which `start` checks first.
    raw::status(unsafe {
        start(client, config, &reads, &mut |client| {
            client.create_symmetric(&*id.cast(), &*key.cast())
        })
    })
}

/// Stores a new client in public-key mode and opens it (in public-key mode): with its id, its
/// Ed25519 private key, and C2's X25519 public key.
///
/// Errors are those of e4_provision_symmetric; E4_ERROR_INVALID_KEY also for a private key whose
/// halves do not match, and a public key of small order.
///
/// cbindgen:ptrs-as-arrays=[[id; E4_ID_LEN], [private_key; E4_PRIVATE_KEY_LEN], [c2_public_key; E4_KEY_LEN]]
#[cfg(feature = "pubkey")]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_provision_public_key(
    client: *mut e4_client,
    config: *const e4_config,
    id: *const u8,
    private_key: *const u8,
    c2_public_key: *const u8,
) -> i32 {
    let reads = [
        Span::many(id, E4_ID_LEN),
        Span::many(private_key, E4_PRIVATE_KEY_LEN),
        Span::many(c2_public_key, E4_KEY_LEN),
    ];
    // SAFETY: as in `e4_provision_symmetric`.
    raw::status(unsafe {
        start(client, config, &reads, &mut |client| {
            let signing = SigningKey::from_slice(raw::bytes(private_key, E4_PRIVATE_KEY_LEN))?;
            let c2 = C2PublicKey::from_slice(raw::bytes(c2_public_key, E4_KEY_LEN))?;
            client.create(Identity::public_key(id_at(id)?, signing, c2)?, &mut [])
        })
    })
}

/// e4_provision_symmetric with the id and the key made from a name (1 to 255 bytes) and a password
/// (16 bytes or more), as e4go and libe4 make them (on hosts; 64 MiB of heap, some tens of
/// milliseconds). For compatibility: random keys are better.
///
/// Errors besides: E4_ERROR_INVALID_NAME, E4_ERROR_INVALID_PASSWORD, E4_ERROR_OUT_OF_MEMORY.
#[cfg(feature = "password")]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_provision_symmetric_password(
    client: *mut e4_client,
    config: *const e4_config,
    name: *const c_char,
    name_len: usize,
    password: *const c_char,
    password_len: usize,
) -> i32 {
    let reads = [Span::many(name, name_len), Span::many(password, password_len)];
    // SAFETY: as in `e4_provision_symmetric`.
    raw::status(unsafe {
        start(client, config, &reads, &mut |client| {
            let name = raw::text(name, name_len, Error::InvalidName)?;
            let password = raw::text(password, password_len, Error::InvalidPassword)?;
            client.create(Identity::symmetric_from_password(name, password)?, &mut [])
        })
    })
}

/// e4_provision_public_key with the id and the key pair made from a name and a password (on hosts,
/// in public-key mode). See e4_provision_symmetric_password.
///
/// cbindgen:ptrs-as-arrays=[[c2_public_key; E4_KEY_LEN]]
#[cfg(all(feature = "password", feature = "pubkey"))]
#[unsafe(no_mangle)]
#[must_use]
pub unsafe extern "C" fn e4_provision_public_key_password(
    client: *mut e4_client,
    config: *const e4_config,
    name: *const c_char,
    name_len: usize,
    password: *const c_char,
    password_len: usize,
    c2_public_key: *const u8,
) -> i32 {
    let reads = [
        Span::many(name, name_len),
        Span::many(password, password_len),
        Span::many(c2_public_key, E4_KEY_LEN),
    ];
    // SAFETY: as in `e4_provision_symmetric`.
    raw::status(unsafe {
        start(client, config, &reads, &mut |client| {
            let name = raw::text(name, name_len, Error::InvalidName)?;
            let password = raw::text(password, password_len, Error::InvalidPassword)?;
            let c2 = C2PublicKey::from_slice(raw::bytes(c2_public_key, E4_KEY_LEN))?;
            client.create(Identity::public_key_from_password(name, password, c2)?, &mut [])
        })
    })
}

/// # Safety
/// 16 bytes at `id` were checked.
pub(super) unsafe fn id_at(id: *const u8) -> Result<ClientId> {
    // SAFETY: the contract above.
    let bytes = unsafe { raw::bytes(id, E4_ID_LEN) };
    bytes.try_into().map(ClientId::from_bytes).map_err(|_| Error::InvalidParameter)
}

/// Checks everything, makes a client that is nobody yet in its place, and lets `open` make it somebody;
/// closes it if that fails.
///
/// # Safety
/// The pointers, and those in the config, are what the header says.
pub(super) unsafe fn start(
    client: *mut e4_client,
    config: *const e4_config,
    reads: &[Span],
    open: &mut dyn FnMut(&mut raw::Inner) -> Result<()>,
) -> Result<i32> {
    // SAFETY: the contract above.
    unsafe {
        let done = open(put(client, config, reads)?);
        if done.is_err() {
            raw::close(client)?;
        }
        done.map(|()| E4_OK)
    }
}

/// Checks a config and makes a client in its place that is nobody yet. A frame of its own on
/// microcontrollers, since the client is made on the stack.
///
/// # Safety
/// That of [`start`].
#[cfg_attr(not(feature = "std"), inline(never))]
unsafe fn put<'a>(
    client: *mut e4_client,
    config: *const e4_config,
    reads: &[Span],
) -> Result<&'a mut raw::Inner> {
    raw::check(&[Span::client(client)], &[Span::one(config)])?;
    // SAFETY: not NULL, aligned, readable by the contract above.
    let config = unsafe { &*config };
    let keys = Span::many(config.keys, config.keys_count);
    let seen = Span::many(config.seen, config.seen_count);
    raw::check(&[Span::client(client), keys, seen], reads)?;
    let settings = settings_of(&config.settings)?;
    let storage = Callbacks::new(&config.storage).ok_or(Error::InvalidParameter)?;
    // SAFETY: the contract above; the arrays were checked and belong to the client from here on.
    unsafe {
        if raw::is_open(client) {
            return Err(Error::InvalidParameter);
        }
        let keys = raw::places::<KeyPlace, _>(config.keys, config.keys_count);
        let seen = raw::places::<SeenPlace, _>(config.seen, config.seen_count);
        Ok(raw::put(client, Client::closed(storage, SliceMemory::over(keys, seen), settings)))
    }
}

pub(super) fn settings_of(settings: &e4_settings) -> Result<Settings> {
    Ok(Settings {
        window: Window { past: settings.past, future: settings.future },
        transition: settings.transition,
        accept_unknown_signers: match settings.accept_unknown_signers {
            0 => false,
            1 => true,
            _ => return Err(Error::InvalidParameter),
        },
    })
}

pub(super) const E4_OK: i32 = 0;
pub(super) const E4_OK_COMMAND: i32 = 1;
pub(super) const E4_OK_NONE: i32 = 2;
